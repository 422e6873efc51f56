"""Content Credentials (C2PA): what drew a file, signed with a certificate of the user's, so that others can see that it was not changed.

The certificate's chain and its key are files that the environment names (`CERTIFICATE`, `KEY`). Nothing is asked over the network: neither
for a time stamp, so that a signature holds no longer than its certificate, nor for what a file that is looked at names elsewhere.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_core.errors import ConfigError, DataError
from gan_core.files import replacing
from tasks.provenance import BY_A_MODEL, Identified, installed
from tasks.sources.raw import safe_path

if TYPE_CHECKING:
    from c2pa import Context

    from tasks.provenance import Origin

CERTIFICATE, KEY = "GANTRY_C2PA_CERTIFICATE", "GANTRY_C2PA_KEY"
EXTRA = "pip install 'gantry-gan[credentials]'"
SIGNED = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif",
    ".tif": "image/tiff", ".tiff": "image/tiff", ".wav": "audio/wav", ".flac": "audio/flac"
}  # fmt: skip
"""Forms that hold a signature, by their suffix."""
_ORIGIN = "io.gantry.origin"
_MOST_BYTES = 1 * 2**20  # of a certificate's or a key's file
# A thumbnail is as large as a picture of a few pixels many times over.
_SETTINGS = {"builder": {"thumbnail": {"enabled": False}}, "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}


@dataclass(frozen=True)
class Signer:
    """Signs with one certificate; may be used by several threads."""

    certificate: bytes
    """PEM, the signer's own first, then those that vouch for it."""
    key: bytes
    """PEM, PKCS #8, not encrypted."""
    algorithm: str
    """As C2PA names it, after the key's kind."""

    @classmethod
    def from_environment(cls) -> Signer:
        """The one that the environment names, tried on a picture of one pixel.

        Raises:
            ConfigError: the package c2pa-python is not installed, or there is no certificate, or key, that can sign.
        """
        import numpy as np

        from tasks.samples import encode_png

        _imported()
        certificate, key = (_read(variable) for variable in (CERTIFICATE, KEY))
        signer = cls(certificate, key, _algorithm(key))
        try:
            signer.signed(encode_png(np.zeros((1, 1, 1), np.uint8)), "image/png", None)
        except DataError as error:
            names = f"{os.environ[CERTIFICATE]} and {os.environ[KEY]}"
            raise ConfigError(
                f"{CERTIFICATE}, {KEY}: {names} cannot sign ({error}); the first holds the signer's certificate and then those that vouch "
                "for it, the second its key"
            ) from None
        return signer

    def signed(self, data: bytes, media_type: str, text: str | None) -> bytes:
        """A file with what drew it, and the signature over both.

        Args:
            data: the file.
            media_type: of the values of `SIGNED`.
            text: from `Origin.text`; None: only that a trained model made it.

        Raises:
            DataError: it cannot be signed.
        """
        import c2pa

        out = BytesIO()
        try:
            info = c2pa.C2paSignerInfo(self.algorithm.encode(), self.certificate, self.key, None)
            with c2pa.Signer.from_info(info) as signer, c2pa.Builder(_manifest(media_type, text), context=_context()) as builder:
                builder.sign(signer, media_type, BytesIO(data), out)
        except c2pa.C2paError as error:
            raise DataError(_said(error)) from None
        return out.getvalue()

    def sign_file(self, path: Path, text: str | None) -> None:
        """Sign a file of one of the suffixes of `SIGNED`, in place; whole or not at all.

        Args:
            text: as of `signed`.

        Raises:
            ConfigError: it cannot be written.
            DataError: it cannot be signed.
        """
        signed = self.signed(path.read_bytes(), SIGNED[path.suffix.lower()], text)
        try:
            with replacing(path) as temporary:
                temporary.write_bytes(signed)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written ({error.strerror or error})") from None

    def sign_files(self, out: Path, origin: Origin | None) -> int:
        """Sign a file of all samples, or a folder's, one of each; returns how many were of a form that holds a signature.

        Raises:
            ConfigError, DataError: as `sign_file`.
        """
        files = [path for path in (sorted(out.iterdir()) if out.is_dir() else [out]) if path.suffix.lower() in SIGNED]
        for index, path in enumerate(files):
            self.sign_file(path, None if origin is None else origin.text(index if out.is_dir() else None))
        return len(files)


def checked(path: Path) -> Identified | None:
    """What a file's signature says, and whether it holds; None where there is none.

    Args:
        path: a file, no larger than one that is looked at.
    """
    data, media_type = path.read_bytes(), SIGNED.get(path.suffix.lower())
    if media_type is None or b"c2pa" not in data:
        return None
    try:
        _imported()
    except ConfigError:
        return Identified(True, f"it has Content Credentials, which are not looked at without c2pa-python: {EXTRA}")
    import c2pa

    try:
        with c2pa.Reader(media_type, BytesIO(data), context=_context()) as reader:
            state, manifest = str(reader.get_validation_state()), json.loads(reader.json())
        signature = manifest["manifests"][manifest["active_manifest"]]["signature_info"]
        who = safe_path(f"{signature.get('common_name', 'nobody named')}, {signature.get('issuer', 'of nowhere')}")[:200]
    except (c2pa.C2paError, KeyError, ValueError, TypeError, AttributeError) as error:
        return Identified(False, f"its Content Credentials cannot be read ({_said(error)})")
    if state not in ("Valid", "Trusted"):
        return Identified(False, f"its Content Credentials do not hold: the file, or they, were changed after {who} signed it")
    return Identified(True, f"signed by {who}, and not changed since; whether that name is true, their certificate's issuer says")


def _imported() -> None:
    try:
        import c2pa  # noqa: F401
    except ImportError:
        raise ConfigError(f"--sign: needs c2pa-python; install it: {EXTRA}") from None


def _context() -> Context:
    import c2pa

    return c2pa.Context(settings=c2pa.Settings.from_dict(_SETTINGS))


def _read(variable: str) -> bytes:
    name = os.environ.get(variable)
    if not name:
        raise ConfigError(
            f"--sign: set {CERTIFICATE} and {KEY} to the files of a certificate and of its key, in PEM; {variable} is not set"
        )
    path = Path(name)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"{variable}: {name} has more than {_MOST_BYTES // 2**20} MiB, as no such file has")
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{variable}: {name} cannot be read ({error.strerror or error})") from None


def _algorithm(key: bytes) -> str:
    """Of C2PA's, what this key signs by.

    Raises:
        ConfigError: by none, or it is encrypted.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        found = load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        remedy = "write it as PKCS #8 without a password (openssl pkcs8 -topk8 -nocrypt)"
        raise ConfigError(f"{KEY}: {os.environ[KEY]} is no key in PEM that can be read ({_said(error)}); {remedy}") from None
    if isinstance(found, ec.EllipticCurvePrivateKey) and found.key_size in (256, 384, 521):
        return {256: "es256", 384: "es384", 521: "es512"}[found.key_size]
    if isinstance(found, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(found, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise ConfigError(f"{KEY}: {os.environ[KEY]} is of a kind that C2PA has no signature for; use P-256, P-384, P-521, RSA or Ed25519")


def _manifest(media_type: str, text: str | None) -> dict[str, Any]:
    gantry = {"name": "Gantry", "version": installed()}
    created = {"action": "c2pa.created", "digitalSourceType": BY_A_MODEL, "softwareAgent": gantry}
    assertions: list[dict[str, Any]] = [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}]
    if text is not None:
        assertions.append({"label": _ORIGIN, "data": json.loads(text)})
    return {"claim_generator_info": [gantry], "format": media_type, "assertions": assertions}


def _said(error: Exception) -> str:
    return safe_path(str(error).splitlines()[0] if str(error) else type(error).__name__)[:200]
