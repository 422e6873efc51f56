"""Images with captions: the file, the source, validation, and how what is drawn from text is judged, asked for and served."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from raw_sets import noise, png
from typer.testing import CliRunner

from flows.cli import app
from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError, DataError
from gan_core.generator import Generator
from gan_core.kinds.text import Captions
from gan_core.metrics import features, matching
from gan_core.metrics.features import FeatureExtractor
from gan_core.metrics.frechet import FeatureStatistics, frechet_distance
from gan_core.metrics.matching import MatchingExtractor, found_first
from tasks import params
from tasks.evaluate import evaluate
from tasks.fetch import fetch
from tasks.params import Entry
from tasks.records.registry import Registry, load_generator
from tasks.register import register
from tasks.sample_files import write_samples
from tasks.scoring.captions import CaptionEvidence
from tasks.sources.annotations import by_image
from tasks.train import train
from tasks.validate import validate
from tasks.validation.captions import read_captions
from tasks.workspace import Workspace


def reasons(text: str, name: str = "captions.csv") -> dict[int, str | None]:
    return {row.number: row.reason for row in read_captions(text.encode(), name)}


class TestFile:
    def test_csv_with_its_columns_in_any_order_and_others_beside(self) -> None:
        rows = read_captions(
            b'\xef\xbb\xbfid,Caption,FILE\r\n1,"red, big\nheart",./a/1.png\r\n\r\n2,  Blue   car ,b.png\r\n', "captions.csv"
        )
        assert [(row.number, row.image, row.value, row.reason) for row in rows] == [
            (2, "./a/1.png", "red, big heart", None),
            (5, "b.png", "Blue car", None),
        ]

    def test_json_lines_with_caption_or_name(self) -> None:
        text = '{"file": "a.png", "caption": "red heart"}\n\n{"file": "b.png", "name": "blue car", "tags": []}\n'
        assert by_image(read_captions(text.encode(), "metadata.jsonl")) == {"a.png": ("red heart",), "b.png": ("blue car",)}
        bad = 'nonsense\n[1]\n{"file": "a.png"}\n{"file": 3, "caption": "x"}\n' + "[" * 100_000
        found = reasons(bad, "x.jsonl")
        assert found == {1: "no JSON object", 2: "no JSON object", 3: found[3], 4: found[3], 5: "no JSON object"}
        assert found[3] is not None
        assert "lacks" in found[3]
        half = reasons('{"file": "a.png", "caption": "a \\ud800 cat"}\n{"file": "b.png", "caption": "\\ud83d\\ude00 fun"}\n', "x.jsonl")
        assert half == {1: "the caption holds half a character, which cannot be written as UTF-8", 2: None}

    def test_an_image_has_each_of_its_captions_once_in_order(self) -> None:
        rows = read_captions(b"file,caption\na.png,red\nb.png,green\na.png,blue\na.png,red\n", "captions.csv")
        assert by_image(rows) == {"a.png": ("red", "blue"), "b.png": ("green",)}

    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            ("a.png", "1 cell, and the first line has 2"),
            ("a.png,red, heart", "3 cells, and the first line has 2; quote a text that holds commas"),
            ("a.png,", "has no words"),
            ("a.png,?!", "has no words"),
            ("a.png," + "red " * 300, "a caption of 1,200 characters"),
        ],
    )
    def test_a_row_that_cannot_be_used_says_why_and_costs_no_other(self, row: str, reason: str) -> None:
        found = reasons(f"file,caption\nb.png,green\n{row}\nc.png,blue\n")
        assert found[2] is None
        assert reason in (found[3] or "")
        assert found[4] is None

    def test_a_cell_of_ten_megabytes_is_one_bad_row(self) -> None:
        found = reasons('file,caption\na.png,"' + "x" * 10_000_000 + '"\nb.png,red\n')
        assert found == {2: "a caption of 10,000,000 characters, and at most 1,000 are taken", 3: None}
        assert csv.field_size_limit() == 131_072

    def test_a_file_that_is_no_table_of_captions_is_refused_as_a_whole(self) -> None:
        for data, message in (
            (b"one,two,three\na,b,c\n", "no column file and none caption in its first line \\(one, two, three\\); write `file,caption`"),
            (b"file,width,height\na,1,2\n", "no column caption"),
            (b"", "is empty; write a line of columns' names"),
            (b"<!DOCTYPE html><title>Sign in</title>", "is a web page, 'Sign in', not a list of captions"),
            ("file,caption\na,b\nc,Größe\n".encode("latin-1"), "not UTF-8 text \\(line 3\\)"),
            ("file,caption\na,b\n".encode("utf-16"), "not UTF-8"),
        ):
            with pytest.raises(DataError, match=message):
                read_captions(data, "captions.csv")


class TestEntry:
    def entry(self, **data: Any) -> Entry:
        sections = {"train": {"recipe": "stackgan", "images": 100}, "validate": {}, "evaluate": {}, "register": {}}
        return params.parse({"generators": {"shapes": {"data": {"source": "folder:///there", **data}, **sections}}})["shapes"]

    def test_captions_are_for_text_to_image(self) -> None:
        assert self.entry(layout="captions").data.kind == "captions"
        for data, message in (
            ({}, "stackgan takes captions"),
            ({"layout": "caption"}, "is not allowed"),
            ({"captions": "a.csv"}, "only with layout: captions"),
            ({"layout": "captions", "source": "sklearn://digits"}, "only for folder"),
            ({"layout": "captions", "count": 20}, "only for points"),
            ({"layout": "captions", "size": 36}, "data.size"),
            *(
                ({"layout": "captions", "captions": path}, "inside the source")
                for path in ("../a.csv", "/a.csv", "a/../../b.csv", "", "~/a")
            ),
        ):
            with pytest.raises(ConfigError, match=message):
                self.entry(**data)


COLOURS = {"red": (220, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 220), "white": (250, 250, 250)}


def picture(colour: str, is_bar: bool, number: int) -> bytes:
    pixels = np.full((16, 16, 3), 128, dtype=np.uint8)
    pixels[4 + number % 5 : 12, (7 if is_bar else 3) : 9] = COLOURS[colour]
    pixels[0, : number % 16] = number  # like no other
    return png(pixels)


def fill(folder: Path, count: int = 80) -> list[str]:
    """Pictures of coloured shapes and captions.csv; returns its lines."""
    (folder / "images").mkdir(parents=True)
    lines = ["file,caption"]
    for i in range(count):
        colour, is_bar = list(COLOURS)[i % 4], i % 8 >= 4
        (folder / "images" / f"{i:03}.png").write_bytes(picture(colour, is_bar, i))
        lines.append(f"images/{i:03}.png,{colour} {'bar' if is_bar else 'square'}")
        if i % 4 == 0:
            lines.append(f'images/{i:03}.png,"A shape, {colour}, number {i}"')
    (folder / "captions.csv").write_text("\n".join(lines) + "\n")
    return lines


def tiny_entry(folder: Path, validation: Mapping[str, Any] | None = None, **data: Any) -> Entry:
    training = {"recipe": "stackgan", "images": 96, "batch": 8, "latent": 4, "code": 4, "generator_width": 4, "discriminator_width": 4}
    sections = {
        "data": {"source": f"folder://{folder}", "layout": "captions", "size": 16, "holdout": 0.3, **data},
        "validate": {"min_samples": 10, **(validation or {})},
        "train": {**training, "threads": 1, "text_share": 0.3, "second_from": 0.6},
        "evaluate": {"samples": 200},
        "register": {"require": {"copies": "<= 1", "recall": ">= 0"}},
    }
    return params.parse({"generators": {"shapes": sections}})["shapes"]


class TestValidation:
    def test_images_and_captions_are_packed_together(self, workspace: Workspace, tmp_path: Path) -> None:
        fill(tmp_path / "source")
        entry = tiny_entry(tmp_path / "source")
        fetch(workspace, "shapes", entry)
        validate(workspace, "shapes", entry)
        dataset = Dataset.open(workspace.ready("shapes"))
        spec = dataset.spec
        assert spec.kind == "captions"
        assert sum(spec.counts.values()) == 80
        assert sum((spec.caption_counts or {}).values()) == 100
        assert spec.vocabulary is not None
        manifest = pd.read_parquet(workspace.ready("shapes") / "manifest.parquet")
        for split in ("train", "holdout"):
            captions = dataset.captions[split]
            paths = list(manifest["path"][manifest["split"] == split])
            for text, owner, tokens in zip(captions.texts, captions.samples, captions.tokens, strict=True):
                number = int(paths[owner][-7:-4])
                assert list(COLOURS)[number % 4] in text
                if "number" in text:
                    assert text == f"A shape, {list(COLOURS)[number % 4]}, number {number}"
                words = text.lower().replace(",", "").split()
                assert [spec.vocabulary[token - 2] if token > 1 else None for token in tokens[: len(words)]] == [
                    word if word in spec.vocabulary else None for word in words
                ]
        known = {word for text in dataset.captions["train"].texts for word in text.lower().replace(",", "").split()}
        assert set(spec.vocabulary) == known

    def test_fetched_and_validated_again_nothing_changes(self, workspace: Workspace, tmp_path: Path, capsys: Any) -> None:
        fill(tmp_path / "source", 40)
        entry = tiny_entry(tmp_path / "source")
        digests = []
        for _ in range(2):
            fetch(workspace, "shapes", entry)
            validate(workspace, "shapes", entry)
            digests.append(Dataset.open(workspace.ready("shapes")).spec.digest)
        assert digests[0] == digests[1]
        said = capsys.readouterr().out
        assert "40 samples" in said
        assert "class" not in said

    def test_what_has_no_partner_is_quarantined_by_name_and_row(self, workspace: Workspace, tmp_path: Path) -> None:
        lines = fill(tmp_path / "source", 60)
        images = tmp_path / "source" / "images"
        (images / "lonely.png").write_bytes(png(noise(1, 16, 16, 3)))
        (images / "broken.png").write_bytes(b"\x89PNG nothing")
        extra = ["images/nowhere.png,a ghost", "images/broken.png,a wreck", "../secret.png,a spy", "images/001.png,one, two"]
        (tmp_path / "source" / "captions.csv").write_text("\n".join([*lines, *extra]) + "\n")
        entry = tiny_entry(tmp_path / "source", {"max_quarantined": 0.2})
        fetch(workspace, "shapes", entry)
        validate(workspace, "shapes", entry)
        with (workspace.ready("shapes") / "quarantine.csv").open() as file:
            found = {row["path"]: row["reason"] for row in csv.DictReader(file)}
        first = len(lines) + 1
        assert found.pop("images/broken.png").startswith("broken")
        assert found == {
            "images/lonely.png": "no caption in captions.csv",
            f"captions.csv#{first}": "there is no image images/nowhere.png",
            f"captions.csv#{first + 2}": "../secret.png leads out of the folder; write a path relative to it",
            f"captions.csv#{first + 3}": "3 cells, and the first line has 2; quote a text that holds commas",
        }

    def test_a_captions_file_that_is_missing_or_leads_elsewhere_is_refused(self, workspace: Workspace, tmp_path: Path) -> None:
        fill(tmp_path / "source", 20)
        entry = tiny_entry(tmp_path / "source", captions="texts.csv")
        with pytest.raises(DataError, match=r"texts\.csv is not there; name the file with the captions in data\.captions"):
            fetch(workspace, "shapes", entry)
        (tmp_path / "elsewhere.csv").write_text("file,caption\n")
        (tmp_path / "source" / "texts.csv").symlink_to(tmp_path / "elsewhere.csv")
        with pytest.raises(DataError, match=r"texts\.csv is not there"):
            fetch(workspace, "shapes", entry)

    def test_captions_of_one_image_stay_on_one_side(self, workspace: Workspace, tmp_path: Path) -> None:
        """Equal pictures under two names too."""
        lines = fill(tmp_path / "source", 40)
        for i in range(40):
            copy = tmp_path / "source" / "images" / f"copy-{i:03}.png"
            copy.write_bytes((tmp_path / "source" / "images" / f"{i:03}.png").read_bytes())
            lines.append(f"images/{copy.name},the copy {i}")
        (tmp_path / "source" / "captions.csv").write_text("\n".join(lines) + "\n")
        entry = tiny_entry(tmp_path / "source")
        fetch(workspace, "shapes", entry)
        validate(workspace, "shapes", entry)
        manifest = pd.read_parquet(workspace.ready("shapes") / "manifest.parquet")
        assert (manifest.groupby("sha256")["split"].nunique() == 1).all()
        assert (manifest.groupby("sha256")["path"].count() == 2).all()


class TestScores:
    def captions(self, texts: list[str], samples: list[int]) -> Captions:
        return Captions(np.zeros((len(texts), 1), dtype=np.int32), np.array(samples), tuple(texts))

    def test_an_image_has_to_be_closest_to_its_own_caption(self) -> None:
        captions = self.captions(["a", "b", "c"], [0, 1, 2])
        similarity = np.array([[0.9, 0.1, 0.2], [0.5, 0.4, 0.1], [0.3, 0.3, 0.3]], dtype=np.float32)
        assert found_first(similarity, captions, 0).tolist() == [True, False, False]  # a draw is none

    def test_other_captions_of_the_same_image_and_equal_ones_are_no_candidates(self) -> None:
        captions = self.captions(["a", "b", "a", "c"], [0, 0, 1, 2])
        similarity = np.zeros((4, 4), dtype=np.float32)
        similarity[0] = [0.5, 0.9, 0.9, 0.1]
        similarity[3] = [0.6, 0.1, 0.6, 0.5]
        assert found_first(similarity, captions, 0).tolist() == [True, False, False, False]
        with pytest.raises(DataError, match="all held-out captions are the same"):
            found_first(np.zeros((2, 2), dtype=np.float32), self.captions(["a", "a"], [0, 1]), 0)

    def test_by_chance_one_in_a_hundred_is_found(self) -> None:
        draw = np.random.default_rng(0)
        captions = self.captions([str(i) for i in range(300)], list(range(300)))
        found = [found_first(draw.random((300, 300), dtype=np.float32), captions, seed).mean() for seed in range(40)]
        # 12,000 tries of a hundredth: a deviation of 0.0009.
        assert np.mean(found) == pytest.approx(0.01, abs=0.003)

    def test_resamples_take_what_they_are_told(self) -> None:
        draw = np.random.default_rng(0)
        real, generated, drafts = (draw.normal(mean, 1, (40, 4)).astype(np.float32) for mean in (0, 0.3, 1))
        evidence = CaptionEvidence(real, generated, np.arange(40) < 10, drafts)
        scores = evidence.scores()
        assert scores["caption_recall"] == 0.25
        first, second = (frechet_distance(FeatureStatistics.of(real), FeatureStatistics.of(one)) for one in (drafts, generated))
        assert scores["stage1_fid"] == pytest.approx(first)
        assert scores["stage2_gain"] == pytest.approx(1 - second / first)
        assert 0 < scores["stage2_gain"] < 1
        everything, some = np.arange(40), np.repeat(np.arange(5, 15), 4)
        assert evidence.resampled("caption_recall", everything, some) == 0.5
        assert evidence.resampled("stage2_gain", everything, everything) == pytest.approx(scores["stage2_gain"])
        assert evidence.resampled("fid", everything, everything) == pytest.approx(scores["fid"])


@pytest.fixture
def quick_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "_EPOCHS", 1)
    monkeypatch.setattr(matching, "_FEWEST", 4_000)
    monkeypatch.setattr(features, "_FEWEST", 200)


@pytest.mark.usefixtures("quick_features")
def test_text_to_image_goes_through_all_stages_and_is_asked_with_text(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    fill(tmp_path / "source", 200)
    entry = tiny_entry(tmp_path / "source")
    for stage in (fetch, validate, train, evaluate, register):
        stage(workspace, "shapes", entry)
    report = workspace.report("shapes")
    scores, record = (json.loads((report / name).read_text()) for name in ("metrics.json", "evaluation.json"))
    assert {"fid", "kid", "caption_recall", "stage1_fid", "stage2_gain"} <= scores.keys()
    assert record["extractor"]["kind"] == "matching"
    # Eight kinds of captions, and the matcher has learnt most of them: far above what chance would find.
    assert record["real_against_real"]["caption_recall"] > 0.4
    assert {path.stem for path in (report / "grids").glob("*.png")} == {"generated", "stage1", "real", "copies"}
    assert json.loads((report / "decision.json").read_text())["outcome"] == "first"

    dataset = Dataset.open(workspace.ready("shapes"))
    kept = FeatureExtractor.load(workspace.features("shapes"))
    assert isinstance(kept, MatchingExtractor)
    assert kept.fits(dataset.spec)
    assert MatchingExtractor.fit(dataset, 0).hash == kept.hash

    generator = load_generator(workspace, "shapes")
    version = Registry.open(workspace).champion("shapes")
    assert version is not None
    from mlflow import pyfunc

    served = pyfunc.load_model(str(Registry.open(workspace).download(version, tmp_path / "download")))
    answer = served.predict(pd.DataFrame({"prompt": ["red square", "blue unicorn bar"]}), params={"seed": 3})
    expected = generator.sample(2, seed=3, prompts=["red square", "blue unicorn bar"])
    assert list(answer["prompt"]) == list(expected.prompts or ())
    assert list(answer["unknown_words"]) == ["", "unicorn"]
    write_samples(expected, tmp_path / "folder")
    for index, name in enumerate(("0-red_square.png", "1-blue_unicorn_bar.png")):
        assert (tmp_path / "folder" / name).read_bytes() == base64.b64decode(answer["png"][index])
    assert len(served.predict(pd.DataFrame(), params={"n": 3, "prompt": "green bar"})) == 3
    for rows, message in (({"prompt": ["red", None]}, "row 1 is empty"), ({"prompt": ["?"]}, "no words")):
        with pytest.raises(MlflowException, match=message):
            served.predict(pd.DataFrame(rows))

    monkeypatch.chdir(workspace.root)
    monkeypatch.setattr("tasks.workspace.current", lambda: workspace)
    arguments = ["sample", "shapes", "--prompt", "red dragon", "--prompt", "blue bar", "--count", "3", "--out", str(tmp_path / "out.npz")]
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    assert "dragon" in ran.stderr
    with np.load(tmp_path / "out.npz") as arrays:
        assert arrays["prompts"].tolist() == ["red dragon", "blue bar", "red dragon"]
        assert arrays["images"].shape == (3, 3, 16, 16)


def test_a_prompt_for_a_generator_that_knows_no_text_is_refused() -> None:
    from real_mlflow import tiny_generator

    generator: Generator = tiny_generator()
    with pytest.raises(ConfigError, match="knows no text"):
        generator.sample(2, prompts=["red heart"])
    with pytest.raises(ConfigError, match="one stage"):
        generator.sample(2, draft=True)
    assert generator.unknown_words(["red"]) == ()
