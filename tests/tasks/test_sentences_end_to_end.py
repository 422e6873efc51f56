"""Sentences through all five stages, and what a person does with the result."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from five_stages import Done, through_all

from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError, DataError
from gan_core.generator import Generator
from gan_core.kinds.sentences import Sentences
from gan_core.layers import layers
from gan_core.training import train as train_until
from tasks import kinds
from tasks.evaluate import evaluate
from tasks.fetch import fetch
from tasks.params import Entry, parse
from tasks.records.registry import Registry
from tasks.register import register
from tasks.sample_files import write_samples
from tasks.serving.answers import encoded, forms
from tasks.train import train
from tasks.validate import validate
from tasks.workspace import Workspace

COUNT, LENGTH = 240, 8
COLOURS, THINGS = ("red", "blue", "green", "small"), ("house", "bowl", "cat", "horse", "tree")


def written(count: int = COUNT, seed: int = 0) -> list[str]:
    draw = np.random.default_rng(seed)
    ways = itertools.product(COLOURS, THINGS, ("and", "near"), THINGS)
    wholes = [f"A {colour} {thing} {way} a {other}." for colour, thing, way, other in ways]
    return [wholes[i] for i in draw.integers(0, len(wholes), count)]


def entry(source: str, layout: dict[str, Any] | None = None, **train: Any) -> Entry:
    sections = {
        "data": {"source": source, "length": LENGTH, "words": 40, "holdout": 0.3, **(layout or {})},
        "validate": {"min_samples": 10, "max_quarantined": 0.1},
        "train": {
            "recipe": "gan", "images": 960, "batch": 16, "threads": 1, "checkpoint_every": 400,
            "generator": {"network": "sequence", "width": 24, "embedding": 12},
            "discriminator": {"network": "sequence", "width": 16, "embedding": 8, "levels": 2},
            "optimizer": {"learning_rate": 0.01}, **train,
        },
        "evaluate": {"samples": 80},
        "register": {"require": {"bleu": ">= 0"}},
    }  # fmt: skip
    return parse({"generators": {"captions": sections}})["captions"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A text, with what is wrong in some of its lines, run through all five stages."""
    folder = tmp_path_factory.mktemp("sentences")
    lines = [*written(), "", "  ", "a red house and a small cat near the tree of a horse.", "?!"]
    (folder / "captions.txt").write_bytes("\n".join(lines).encode() + b"\na caf\xe9 near a house\n")
    one, workspace = entry("text://captions.txt"), Workspace(folder)
    return through_all(workspace, "captions", one)


def test_what_cannot_be_used_is_set_aside_with_the_reason(done: Done) -> None:
    quarantine = pd.read_csv(done.workspace.ready("captions") / "quarantine.csv").set_index("path")["reason"]
    assert quarantine.to_dict() == {
        f"captions.txt#{COUNT + 3}": f"too long: 14 words and marks, more than {LENGTH} (data.length)",
        f"captions.txt#{COUNT + 4}": "has no words",
        f"captions.txt#{COUNT + 5}": "not UTF-8: byte 6 of the line; save the file as UTF-8",
    }
    assert "left out: 2 empty lines" in done.said
    assert f"fetch captions: {COUNT + 3} samples" in done.said


def test_equal_sentences_are_on_one_side(done: Done) -> None:
    ready = done.workspace.ready("captions")
    manifest = pd.read_parquet(ready / "manifest.parquet")
    assert len(manifest) == COUNT
    assert manifest.groupby("sha256")["split"].nunique().max() == 1
    assert manifest["words"].between(6, 7).all()
    assert f"{COUNT - manifest['sha256'].nunique()} equal to another" in done.said
    dataset = Dataset.open(ready)
    assert isinstance(dataset.spec, Sentences)
    assert dataset.spec.shape == (LENGTH,)
    assert set(dataset.spec.texts(dataset.samples["train"])) <= {text.lower() for text in written()}


def test_a_version_is_scored_beside_real_sentences_and_becomes_the_champion(done: Done) -> None:
    report = done.workspace.report("captions")
    metrics, evaluation, decision = (json.loads((report / f"{name}.json").read_text()) for name in ("metrics", "evaluation", "decision"))
    assert metrics.keys() == {"ngram_distance", "detection", "bleu", "self_bleu", "copies"}
    real = evaluation["real_against_real"]
    assert real.keys() == {"n_train", "ngram_distance", "detection", "bleu", "self_bleu"}
    assert real["ngram_distance"] < metrics["ngram_distance"] < 1
    assert len(evaluation["ngram_distances"]) == 4
    assert {"generated", "held_out", "whole"} <= evaluation["copies"].keys()
    assert decision["outcome"] == "first"
    assert Registry.open(done.workspace).champion("captions").number == 1


def test_the_record_tells_of_both_phases(done: Done) -> None:
    record = [json.loads(line) for line in (done.workspace.model("captions") / "metrics.jsonl").read_text().splitlines()]
    first, last = record[0], record[-1]
    assert "discriminator_loss" not in first
    assert {"discriminator_loss", "generator_loss", "cross_entropy", "diversity"} <= last.keys()
    assert last["cross_entropy"] < first["cross_entropy"] < np.log(42) + 0.1
    assert last["diversity"] > 0.2


def test_training_resumes_bit_for_bit_in_both_phases(done: Done, tmp_path: Path) -> None:
    dataset = Dataset.open(done.workspace.ready("captions"))
    for steps in (10, 40):
        stops: Callable[[], bool] = iter([*[False] * steps, True]).__next__
        assert not train_until(done.entry.train, dataset, tmp_path / f"{steps}", should_stop=stops)
        assert train_until(done.entry.train, dataset, tmp_path / f"{steps}")
        assert Generator.load(tmp_path / f"{steps}" / "generator").config.sha256 == done.generator.config.sha256


def test_the_page_shows_sentences_as_text(done: Done) -> None:
    report = done.workspace.report("captions")
    page = (report / "report.html").read_text()
    for name in ("generated", "real"):
        lines = (report / "grids" / f"{name}.txt").read_text().splitlines()
        assert len(lines) == 24
        assert all(f"<li>{line}</li>" in page for line in lines)
        assert (report / "grids" / f"{name}.png").is_file()  # for what shows pictures alone
    assert "they are training sentences, but for one word at most" in page


def test_the_networks_are_shown(done: Done) -> None:
    found = layers(done.entry.train, Dataset.open(done.workspace.ready("captions")))
    assert [layer.kind for layer in found["generator"]].count("WordEmbedding") == 2
    assert sum(layer.multiply_adds for layer in found["discriminator"]) > 0


def test_samples_are_written_as_text_rows_and_json_lines(done: Done, tmp_path: Path) -> None:
    samples = done.generator.sample(5, seed=1)
    texts = Sentences.of(done.generator.config.data).texts(samples.samples)
    for suffix in (".txt", ".csv", ".jsonl", ".npz"):
        write_samples(samples, tmp_path / f"x{suffix}")
    assert (tmp_path / "x.txt").read_text().splitlines() == texts
    assert pd.read_csv(tmp_path / "x.csv")["text"].tolist() == texts
    assert [json.loads(line)["text"] for line in (tmp_path / "x.jsonl").read_text().splitlines()] == texts
    with np.load(tmp_path / "x.npz") as arrays:
        assert arrays["sentences"].tolist() == texts
    write_samples(samples, tmp_path / "folder")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["sentences.csv"]
    assert kinds.of("sentences").lines(samples) == texts
    with pytest.raises(ConfigError, match=r"\.wav is no form that sentences are written in; use .*\.txt"):
        write_samples(samples, tmp_path / "x.wav")


def test_the_served_model_and_http_answer_with_texts(done: Done) -> None:
    samples = done.generator.sample(2, seed=3)
    texts = Sentences.of(done.generator.config.data).texts(samples.samples)
    kind = kinds.of("sentences")
    assert kind.answered(done.generator.config) == [("string", "text")]
    assert kind.answer(samples, None)["text"].tolist() == texts
    assert {"text/plain", "text/csv", "application/x-ndjson", "application/x-npz"} <= {*forms(samples)}
    assert encoded(done.generator, 1, samples, "text/plain").decode().splitlines() == texts
    assert [row["text"] for row in json.loads(encoded(done.generator, 1, samples, "application/json"))["samples"]] == texts


def test_a_sentence_is_the_same_whatever_is_drawn_beside_it(done: Done) -> None:
    together = done.generator.draw([done.generator.order(1, seed=5), done.generator.order(6, seed=1)])
    np.testing.assert_array_equal(together[0].samples, done.generator.sample(1, seed=5).samples)
    np.testing.assert_array_equal(together[1].samples, done.generator.sample(6, seed=1).samples)
    assert done.generator.draws_alike()


def test_a_champion_of_another_vocabulary_is_compared_by_its_words_and_taken_over_by_them(done: Done) -> None:
    ducks = [f"a yellow duck near {count} {thing}s." for count in range(8) for thing in THINGS]
    (done.workspace.root / "captions.txt").write_text("\n".join([*written(), *written(80, seed=1), *ducks]))
    again = entry("text://captions.txt", start="models/captions")
    from tasks.start import start

    for stage in (fetch, validate, start, train, evaluate, register):
        stage(done.workspace, "captions", again)
    dataset = Dataset.open(done.workspace.ready("captions"))
    assert isinstance(dataset.spec, Sentences)
    assert {"yellow", "duck"} <= {*dataset.spec.vocabulary} - {*Sentences.of(done.generator.config.data).vocabulary}
    taken = json.loads((done.workspace.model("captions") / "run.json").read_text())["start"]["by_class"]
    assert len(taken) == 5  # of the players two and one, of the average two
    decision = json.loads((done.workspace.report("captions") / "decision.json").read_text())
    assert decision["outcome"] != "first"
    assert "ngram_distance" in json.dumps(decision)


def test_a_folder_a_class_is_drawn_by_label(tmp_path: Path) -> None:
    for label, seed in (("one", 0), ("two", 1)):
        (tmp_path / "set" / label).mkdir(parents=True)
        texts = [text.replace(" a ", f" {label} ") for text in written(60, seed)]
        (tmp_path / "set" / label / "rows.csv").write_text("id,comment\n" + "".join(f"{i},{text}\n" for i, text in enumerate(texts)))
    (tmp_path / "set" / "README.txt").write_text("about it")
    one, workspace = entry(f"folder://{tmp_path}/set", {"layout": "sentences"}, condition="label", images=320), Workspace(tmp_path)
    for stage in (fetch, validate, train, evaluate):
        stage(workspace, "captions", one)
    generator = Generator.load(workspace.model("captions") / "generator")
    assert generator.config.classes == ("one", "two")
    frame = kinds.of("sentences").answer(generator.sample(4, label="two"), generator.config.classes)
    assert frame["label"].tolist() == ["two"] * 4


def test_what_does_not_fit_sentences_is_refused(tmp_path: Path) -> None:
    def refused(match: str, train: dict[str, Any] | None = None, source: str = "text://x.txt", **data: Any) -> None:
        sections = {"data": {"source": source, **data}, "train": {"recipe": "gan", **(train or {})}}
        with pytest.raises(ConfigError, match=match):
            parse({"generators": {"captions": {"validate": {}, "evaluate": {}, "register": {}, **sections}}})

    refused("rate: only for sounds", rate=8_000)
    refused("words: only for sentences", source="folder://x", words=100)
    refused("train.latent: a sentence is drawn by a number for each of its words", {"latent": 8})
    refused("train.augment: only for images, sounds, volumes and clips", {"augment": True})
    refused("train.likelihood: only for sentences", {"likelihood": {"until": 0.1}}, source="folder://x")
    refused("network: dcgan draws .*; use sequence", {"generator": {"network": "dcgan"}})
    refused(re.escape("layout: only for folders, archives and buckets"), source="table://x.csv", layout="sentences")
    (tmp_path / "x.txt").write_text("a single line.\n" * 30)
    one, workspace = entry(f"text://{tmp_path}/x.txt"), Workspace(tmp_path)
    fetch(workspace, "captions", one)
    with pytest.raises(DataError, match="at least 1 sample held out"):  # equal ones are on one side
        validate(workspace, "captions", one)
