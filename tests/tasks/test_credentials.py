"""Content Credentials: files say who vouches for what drew them, and a change shows."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path

import c2pa
import numpy as np
import pytest
import soundfile
from PIL import Image
from real_mlflow import tiny_generator
from signing import KEYS, write_certificate
from typer.testing import CliRunner

from flows.cli import app
from gan_core.errors import ConfigError, DataError
from tasks.credentials import CERTIFICATE, KEY, SIGNED, Signer, _manifest, checked
from tasks.provenance import Origin, claim

ORIGIN = Origin("digits", 2, "a" * 64, {"n": 5, "seed": 7})


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a certificate that the environment names."""
    chain, key = write_certificate(tmp_path)
    monkeypatch.setenv(CERTIFICATE, str(chain))
    monkeypatch.setenv(KEY, str(key))
    return tmp_path


def picture(suffix: str) -> bytes:
    buffer = BytesIO()
    if suffix in (".wav", ".flac"):
        soundfile.write(buffer, np.arange(800, dtype=np.int16) ** 2, 8_000, format=suffix[1:].upper())
    else:
        form = {".jpg": "jpeg", ".tif": "tiff"}.get(suffix, suffix[1:])
        Image.fromarray(np.arange(4_096, dtype=np.uint8).reshape(64, 64)).save(buffer, format=form)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", sorted(SIGNED))
def test_a_file_of_each_form_says_who_signed_it_and_a_change_shows(suffix: str, named: Path) -> None:
    file = named / f"samples{suffix}"
    file.write_bytes(picture(suffix))
    assert checked(file) is None
    assert Signer.from_environment().sign_files(file, ORIGIN) == 1
    found = checked(file)
    assert found is not None
    assert (found.same, "signed by Ada, A house" in found.in_words) == (True, True)
    with c2pa.Reader(SIGNED[suffix], BytesIO(file.read_bytes())) as reader:
        assert all(said in reader.json() for said in ("trainedAlgorithmicMedia", '"version": 2', "a" * 64))
    data = file.read_bytes()
    # The last value of the samples, wherever the signature lies.
    place = len(picture(suffix)) - 20 if suffix in (".tif", ".tiff") else data.rindex(picture(suffix)[-40:-20])
    file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    found = checked(file)
    assert found is not None
    assert (found.same, "changed after Ada" in found.in_words) == (False, True)


def test_a_signature_is_small_and_changes_no_pixel(named: Path) -> None:
    signed = Signer.from_environment().signed(picture(".png"), "image/png", ORIGIN.text(None))
    assert len(signed) < len(picture(".png")) + 8_000
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(signed))), np.asarray(Image.open(BytesIO(picture(".png")))))


@pytest.mark.parametrize("algorithm", sorted(KEYS))
def test_keys_of_each_kind_sign(algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, key = write_certificate(tmp_path, algorithm)
    monkeypatch.setenv(CERTIFICATE, str(chain))
    monkeypatch.setenv(KEY, str(key))
    signer = Signer.from_environment()
    assert signer.algorithm == algorithm
    (tmp_path / "a.png").write_bytes(signer.signed(picture(".png"), "image/png", None))
    found = checked(tmp_path / "a.png")
    assert found is not None
    assert found.same


def test_what_cannot_sign_is_said_before_anything_is_drawn(named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (named / "others").mkdir()
    other_chain, other_key = write_certificate(named / "others")
    (named / "locked").mkdir()
    _, locked = write_certificate(named / "locked", password=b"secret")

    def refused(certificate: Path | None, key: Path | None, said: str) -> None:
        for variable, path in ((CERTIFICATE, certificate), (KEY, key)):
            monkeypatch.delenv(variable) if path is None else monkeypatch.setenv(variable, str(path))
        with pytest.raises(ConfigError, match=said):
            Signer.from_environment()

    chain, key = named / "chain.pem", named / "key.pem"
    refused(chain, other_key, "cannot sign")
    refused(other_chain, key, "cannot sign")
    refused(key, key, "cannot sign")
    refused(chain, chain, "no key in PEM")
    refused(chain, locked, "without a password")
    refused(chain, named / "none.pem", f"{KEY}: .* cannot be read")
    refused(chain, None, f"{KEY} is not set")


def test_without_the_package_it_is_said(named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (named / "a.png").write_bytes(Signer.from_environment().signed(picture(".png"), "image/png", ORIGIN.text(None)))
    monkeypatch.setitem(__import__("sys").modules, "c2pa", None)
    with pytest.raises(ConfigError, match=r"gantry-gan\[credentials\]"):
        Signer.from_environment()
    found = checked(named / "a.png")
    assert found is not None
    assert "not looked at" in found.in_words


def test_what_a_file_names_elsewhere_is_not_asked_for(named: Path) -> None:
    asked: list[str] = []

    class Listening(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    with HTTPServer(("127.0.0.1", 0), Listening) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        signer = Signer.from_environment()
        info = c2pa.C2paSignerInfo(signer.algorithm.encode(), signer.certificate, signer.key, None)
        builder, out = c2pa.Builder(_manifest("image/png", None)), BytesIO()
        builder.set_no_embed()
        builder.set_remote_url(f"http://127.0.0.1:{server.server_port}/manifest")
        builder.sign(c2pa.Signer.from_info(info), "image/png", BytesIO(picture(".png")), out)
        (named / "a.png").write_bytes(out.getvalue() + b"c2pa")  # so that it is looked into
        found = checked(named / "a.png")
        server.shutdown()
    assert found is not None
    assert (found.same, asked) == (False, [])


def test_the_command_line(named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_generator().save(named / "models" / "digits" / "generator")
    monkeypatch.chdir(named)

    def gantry(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["sample", *words])
        return done.exit_code, done.output if done.exception is None or isinstance(done.exception, SystemExit) else str(done.exception)

    drawn = ("--from", "models/digits", "--count", "4", "--sign", "--out")
    assert gantry(*drawn, "a.png") == (0, "4 samples in a.png, signed\n")
    code, said = gantry("--identify", "a.png", "--from", "models/digits")
    assert (code, "signed by Ada" in said, "to the pixel" in said) == (0, True, True)
    assert gantry(*drawn, "some")[0] == 0
    assert [claim(path).index for path in sorted(Path("some").iterdir())] == [0, 1, 2, 3]
    assert all("signed by Ada" in str(checked(path)) for path in Path("some").iterdir())
    Path("b.png").write_bytes(Path("a.png").read_bytes() + b"more")  # which nothing that shows pictures looks at
    code, said = gantry("--identify", "b.png", "--from", "models/digits")
    assert (code, "changed after Ada" in said) == (1, True)
    assert "holds no signature" in gantry(*drawn, "a.npz")[1]
    assert not Path("a.npz").exists()
    monkeypatch.delenv(KEY)
    assert f"{KEY} is not set" in gantry(*drawn, "c.png")[1]
    assert not Path("c.png").exists()


def test_what_holds_no_signature_stays_as_it_is(named: Path) -> None:
    (named / "rows.csv").write_text("a,b\n1,2\n")
    assert Signer.from_environment().sign_files(named / "rows.csv", ORIGIN) == 0
    assert (named / "rows.csv").read_text() == "a,b\n1,2\n"


def test_what_cannot_be_signed_is_an_error_and_stays_as_it_is(named: Path) -> None:
    (named / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError):
        Signer.from_environment().sign_files(named / "a.png", None)
    assert (named / "a.png").read_bytes() == b"no picture"
