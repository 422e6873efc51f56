"""params.yaml: each mistake named by its key with what to write instead, and nothing but `ConfigError` for whatever stands there."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gan_core.errors import ConfigError
from tasks.params import DataParams, Entry, load, load_entry, parse, read

REPOSITORY = Path(__file__).parents[2]

IMAGES: dict[str, Any] = {
    "data": {"source": "sklearn://digits", "size": 16},
    "validate": {},
    "train": {"recipe": "gan", "images": 1_000},
    "evaluate": {},
    "register": {},
}
POINTS: dict[str, Any] = {**IMAGES, "data": {"source": "points://circle"}}
PAIRS: dict[str, Any] = {
    **IMAGES,
    "data": {"source": "folder:///pairs", "layout": "side-by-side", "size": 64},
    "train": {"recipe": "pix2pix", "images": 1_000},
}


def document(entry: dict[str, Any] = IMAGES, **changes: Any) -> dict[str, Any]:
    """An entry `a` with the values at some dotted keys changed, as `document(train__seed=3)`; `...` takes a key away."""
    changed = copy.deepcopy(entry)
    for key, value in changes.items():
        *sections, last = key.split("__")
        at = changed
        for section in sections:
            at = at.setdefault(section, {})
        if value is ...:
            del at[last]
        else:
            at[last] = value
    return {"generators": {"a": changed}}


def problem(wrong: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        parse(wrong)
    return str(raised.value)


@pytest.mark.parametrize(
    ("entry", "own"),
    [
        (IMAGES, {"source", "size", "fit", "range", "layout", "labels", "stack", "holdout", "seed"}),
        (POINTS, {"source", "count", "radius", "holdout", "seed"}),
        (PAIRS, {"source", "size", "fit", "range", "layout", "direction", "labels", "stack", "holdout", "seed"}),
    ],
)
def test_of_the_data_only_what_its_kind_has_is_shown(entry: dict[str, Any], own: set[str]) -> None:
    assert set(parse(document(entry))["a"].data.of_kind()) == own


def test_a_short_entry_takes_the_defaults() -> None:
    entry = parse(document())["a"]
    assert entry.data.size == 16
    assert entry.data.holdout == 0.1
    assert entry.validation.max_quarantined == 0.01
    assert (entry.train.images, entry.train.batch, entry.train.condition) == (1_000, 64, "none")
    assert entry.evaluation.features == "auto"
    assert entry.registration.improve is None
    assert entry.schedule is None


def test_what_the_loss_needs_comes_with_it() -> None:
    """A relativistic discriminator has its two penalties, a hinge one spectral normalisation; what is said goes before."""
    relativistic, hinge, plain = (parse(document(train__loss=loss))["a"].train for loss in ("relativistic", "hinge", "minimax"))
    assert relativistic.settled_penalty((1, 28, 28)).r1 == relativistic.settled_penalty((1, 28, 28)).r2 > 0
    assert relativistic.settled_penalty((24, 2_000)).r1 == 10 / 2_000  # of a sentence: a number for every word at every place
    assert relativistic.settled_penalty((1, 16, 7, 7)).r1 == relativistic.settled_penalty((1, 28, 28)).r1
    assert relativistic.settled_players("images")["discriminator"].normalization == "none"
    assert hinge.settled_players("images")["discriminator"].normalization == "spectral"
    assert plain.settled_players("images")["discriminator"].normalization == "none"
    for other in (hinge, plain):
        settled = other.settled_penalty((1, 28, 28))
        assert (settled.r1, settled.r2, settled.gradient) == (0, 0, 0)
    said = parse(document(train__loss="relativistic", train__penalty={"gradient": 10}, train__discriminator={"normalization": "spectral"}))[
        "a"
    ].train
    assert (said.settled_penalty((1, 28, 28)).r1, said.settled_penalty((1, 28, 28)).gradient) == (0, 10)
    assert said.settled_players("images")["discriminator"].normalization == "spectral"


def test_a_penalty_on_each_samples_gradient_is_refused_beside_batch_normalisation() -> None:
    with pytest.raises(ConfigError, match=r"train: penalty\.gradient asks for each sample's own gradient, .*use none or spectral"):
        parse(document(train__loss="wasserstein", train__penalty={"gradient": 10}, train__discriminator={"normalization": "batch"}))


def test_everything_can_be_said() -> None:
    entry = parse(
        document(
            train__generator={"network": "dcgan", "widths": [32, 16, 8], "normalization": "batch"},
            train__discriminator={"network": "residual", "width": 8, "dropout": 0.3},
            train__penalty={"r1": 1, "every": 16},
            train__optimizer={"name": "rmsprop", "learning_rate": 1e-3, "betas": [0.5, 0.9], "decay": 0.5},
            register={"improve": "fid", "require": {"recall": ">= 0.4", "fid": "<1e2", "kid": "<= -0.5"}},
            schedule="0 3 * * *",
        )
    )["a"]
    assert entry.train.generator.widths == (32, 16, 8)
    assert entry.train.optimizer.betas == (0.5, 0.9)
    assert entry.train.penalty.r1 == 1.0
    assert entry.registration.require == {"recall": ">= 0.4", "fid": "<1e2", "kid": "<= -0.5"}


def test_entries_cannot_be_changed() -> None:
    entry = parse(document())["a"]
    with pytest.raises(ValueError, match="frozen"):
        entry.train.images = 3  # type: ignore[misc]


UNKNOWN_KEYS: list[tuple[dict[str, Any], str]] = [
    ({"train__imagse": 3}, "generators.a.train.imagse: unknown key; did you mean images?"),
    ({"trian": {}}, "generators.a.trian: unknown key; did you mean train?"),
    ({"validation": {}}, "generators.a.validation: unknown key; did you mean validate?"),
    ({"data__sized": 16}, "generators.a.data.sized: unknown key; did you mean size?"),
    ({"train__penalty": {"R1": 2.0}}, "generators.a.train.penalty.R1: unknown key; allowed: r1, r2, gradient, clip, every"),
    ({"train__generator": {"widht": 3}}, "generators.a.train.generator.widht: unknown key; did you mean width?"),
    ({"train__optimizer": {"lr": 0.1}}, "generators.a.train.optimizer.lr: unknown key; allowed: name, learning_rate,"),
    ({"evaluate__xyz": 1}, "generators.a.evaluate.xyz: unknown key; allowed: features, features_seed, samples, fid_infinity, seed"),
    ({"register__improves": "fid"}, "generators.a.register.improves: unknown key; did you mean improve?"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), UNKNOWN_KEYS)
def test_an_unknown_key_is_named_with_the_nearest_or_with_what_is_allowed(changes: dict[str, Any], message: str) -> None:
    assert message in problem(document(**changes))


WRONG_VALUES: list[tuple[dict[str, Any], str, str]] = [
    ({"train__images": "many"}, "train.images", "valid integer (got 'many')"),
    ({"train__images": "400_000"}, "train.images", "valid integer (got '400_000')"),
    ({"train__images": 4e5}, "train.images", "valid integer (got '400000.0')"),
    ({"train__images": True}, "train.images", "valid integer (got 'True')"),
    ({"train__images": 0}, "train.images", "greater than 0 (got '0')"),
    ({"train__batch": 1}, "train.batch", "greater than or equal to 2"),
    ({"train__batch": 10**9}, "train.batch", "less than or equal to 65536"),
    ({"train__seed": -1}, "train.seed", "greater than or equal to 0"),
    ({"train__ema": -5}, "train.ema", "greater than or equal to 0"),
    ({"train__augment": "yes"}, "train.augment", "'yes' is none of true, false and adaptive"),
    ({"train__augment_target": 0.5}, "train", "augment_target is about augmentation that adapts"),
    ({"train__augment": "adaptive", "train__loss": "wasserstein"}, "train", "a critic (wasserstein) tells none"),
    ({"train__penalty": [1]}, "train.penalty", "valid dictionary"),
    ({"train__penalty": {"r1": float("nan")}}, "train.penalty.r1", "finite number"),
    ({"train__penalty": {"r1": float("inf")}}, "train.penalty.r1", "finite number"),
    ({"train__generator": {"widths": []}}, "train.generator.widths", "at least 1 item"),
    ({"train__generator": {"widths": [8, 0]}}, "train.generator.widths.1", "greater than 0"),
    ({"train__discriminator": {"dropout": 1}}, "train.discriminator.dropout", "less than 1"),
    ({"train__optimizer": {"learning_rate": 0}}, "train.optimizer.learning_rate", "greater than 0"),
    ({"train__optimizer": {"betas": [0.5]}}, "train.optimizer.betas.1", "missing"),
    ({"train": None}, "train", "valid dictionary"),
    ({"train": "gan"}, "train", "valid dictionary"),
    ({"data__size": 2}, "data.size", "write a number of pixels from 4 to 1024"),
    ({"data__size": 4096}, "data.size", "4096"),
    ({"data__holdout": 0}, "data.holdout", "greater than 0"),
    ({"data__holdout": 1.0}, "data.holdout", "less than 1"),
    ({"data__source": 7}, "data.source", "text is expected, and YAML reads 7 as a number"),
    ({"validate__max_quarantined": 2}, "validate.max_quarantined", "less than or equal to 1"),
    ({"schedule": 3}, "schedule", "text is expected, and YAML reads 3 as a number"),
]


@pytest.mark.parametrize(("changes", "key", "reason"), WRONG_VALUES)
def test_a_wrong_type_or_range_is_named_with_what_was_written(changes: dict[str, Any], key: str, reason: str) -> None:
    message = problem(document(**changes))
    assert message.startswith(f"params.yaml: generators.a.{key}: ")
    assert reason in message
    assert "\n" not in message


def test_a_choice_that_is_none_is_named_with_those_that_are() -> None:
    assert problem(document(train__loss="wgan")) == (
        "params.yaml: generators.a.train.loss: 'wgan' is not allowed; "
        "'non-saturating', 'minimax', 'least-squares', 'hinge', 'wasserstein' or 'relativistic' is"
    )
    assert "generators.a.train.recipe: 'pix' is no recipe; did you mean pix2pix?" in problem(document(train__recipe="pix"))
    assert "generators.a.train.recipe: 'vae' is no recipe; there are gan, cyclegan, " in problem(document(train__recipe="vae"))
    assert "generators.a.data.depth: 12 is not allowed; 8, 16 or 'float' is" in problem(document(data__depth=12))
    assert "generators.a.register.improve: 'fdi' is no metric; did you mean fid?" in problem(document(register={"improve": "fdi"}))
    assert "generators.a.register.require: 'fdi' is no metric; did you mean fid?" in problem(document(register={"require": {"fdi": "< 3"}}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validate": ...}, "generators.a.validate: missing; write `validate: {}` for the defaults"),
        ({"evaluate": ...}, "generators.a.evaluate: missing; write `evaluate: {}` for the defaults"),
        ({"register": ...}, "generators.a.register: missing; write `register: {}` for the defaults"),
        ({"train": ...}, "generators.a.train: missing"),
        ({"data": ...}, "generators.a.data: missing"),
        ({"data__source": ...}, "generators.a.data.source: missing"),
    ],
)
def test_what_is_missing_is_named(changes: dict[str, Any], message: str) -> None:
    assert problem(document(**changes)) == f"params.yaml: {message}"


SOURCES = [
    ("digits", "'digits' is not a source; allowed are sklearn://, points://, shop://, torchvision://, folder://, table://, "
     "text://, arrays://, s3://, gs://, az://, https://, http://"),
    ("sklaern://digits", "'sklaern://digits' is not a source; allowed are sklearn://, points://, shop://, torchvision://, folder://, "
     "table://, text://, arrays://, s3://, gs://, az://, https://, http://; did you mean sklearn://?"),
    ("sklearn://digit", "'sklearn://digit': sklearn:// has digits, tilted-digits, breast-cancer, iris, wine; did you mean sklearn://digits?"),
    ("points://cirle", "'points://cirle': points:// has circle, ring, grid; did you mean points://circle?"),
    ("torchvision://MNISTT", "torchvision:// has MNIST, FashionMNIST, KMNIST, QMNIST; did you mean torchvision://MNIST?"),
    ("torchvision://", "torchvision:// has MNIST"),
    ("folder://", "'folder://' names no folder; write folder:///an/absolute/path or folder://relative/path"),
    ("table://", "'table://' names no file; write table:///an/absolute/path or table://relative/path"),
    ("sklearn://breast", "did you mean sklearn://breast-cancer?"),
    ("ftp://host/set.zip", "'ftp://host/set.zip' is not a source"),
    ("file:///etc/set.zip", "'file:///etc/set.zip' is not a source"),
    ("s3://", "'s3://' names no bucket; write s3://bucket/folder"),
    ("https:///set.zip", "'https:///set.zip' names no host; write https://host/set.zip"),
    ("https://host:port/set.zip", "'https://host:port/set.zip' is no URL (Port could not be cast"),
    ("https://me:hush@host/set.zip", "'https://host/set.zip' carries a name or password; write the URL without them"),
    ("s3://KEY:hush@bucket/x", "'s3://bucket/x' carries a name or password; credentials for s3:// come from the environment"),
    ("https://host/set.zip?a=1&X-Amz-Signature=hush", "'https://host/set.zip': `X-Amz-Signature` looks like a secret; put it into"),
    ("https://host/set.zip?token=hush", "`token` looks like a secret; put it into an environment variable: token=$VARIABLE"),
    ("s3://bucket/x?versionId=1", "'s3://bucket/x': s3:// takes no `?` and no `#`"),
    ("https://host/photos", "'https://host/photos' names no archive, no table and no text, and the web lists no folders; a URL ends in "),
    ("http://host/set.zip", "'http://host/set.zip': http:// is only for this machine"),
    ("http://127.0.0.1.evil.org/set.zip", "http:// is only for this machine"),
    ("http://localhost@evil.org/set.zip", "'http://evil.org/set.zip' carries a name or password"),
    ("", "'' is not a source"),
    ("://", "'://' is not a source"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "message"), SOURCES)
def test_a_source_that_is_none_is_named_with_the_nearest(source: str, message: str) -> None:
    found = problem(document(data={"source": source}))
    assert found.startswith("params.yaml: generators.a.data.source: ")
    assert message in found
    assert "hush" not in found


@pytest.mark.parametrize(
    "source",
    [
        *("folder:///srv/set.zip", "folder://$SETS/all.tar.gz/train", "s3://bucket", "s3://$BUCKET/photos", "gs://bucket/set.tgz/train"),
        *("az://container/photos", "https://host:8443/a/set.tar.xz/train?download=1", "https://host/set.zip?token=$TOKEN"),
        *("http://localhost:8000/set.zip", "http://127.0.0.1/set.zip", "http://[::1]:80/set.zip"),
    ],
)
def test_places_of_images(source: str) -> None:
    for layout in ("images", "side-by-side"):
        [entry] = parse(document(PAIRS if layout != "images" else IMAGES, data={"source": source, "layout": layout, "size": 64})).values()
        assert entry.data.kind == ("images" if layout == "images" else "pairs")


@pytest.mark.parametrize("source", ["https://host/a.csv?x=1", "s3://bucket/a.parquet", "http://localhost/A.CSV"])
def test_tables_of_the_network(source: str) -> None:
    assert DataParams(source=source).kind == "table"


COMBINATIONS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (POINTS, {"data__size": 16}, "a.data: size: only for images, and points://circle has none"),
    (POINTS, {"data__channels": 1, "data__root": "x"}, "a.data: channels, root: only for images, and points://circle has none"),
    (POINTS, {"validate__near_twins": "off", "validate__min_side": 4}, "a: validate.min_side, validate.near_twins: only for images, and p"),
    (POINTS, {"validate__min_level": 0.1}, "a: validate.min_level: only for sounds, and points://circle has none; take it out"),
    (IMAGES, {"data__count": 100}, "a.data: count: only for points, and sklearn://digits has none"),
    (IMAGES, {"data__radius": 2.0, "data__sigma": 0.1}, "a.data: radius, sigma: only for points, and sklearn://digits has none"),
    (IMAGES, {"data__root": "/mnt"}, "a.data: root: only for torchvision://, not sklearn://digits"),
    (POINTS, {"train__generator": {"network": "dcgan"}},
     "a: train.generator.network: dcgan draws images or sounds or volumes or clips, and the source has points; use mlp"),
    (POINTS, {"train__discriminator": {"network": "residual"}},
     "a: train.discriminator.network: residual draws images or sounds or volumes or clips, and the source has points; use mlp"),
    (IMAGES, {"train__mismatch": 0.5}, "a.train: mismatch shows samples under wrong labels, and condition is none"),
    (POINTS, {"train__condition": "label"}, "a: train.condition: points have no labels; use none"),
    (POINTS, {"train__augment": True}, "a: train.augment: only for images"),
    (IMAGES, {"train__label_smoothing": 0.1, "train__loss": "hinge"},
     "a.train: label_smoothing needs loss non-saturating or minimax; hinge has no targets to smooth"),
    (IMAGES, {"train__penalty": {"gradient": 10, "clip": 0.01}}, "a.train: penalty.gradient and penalty.clip are two answers"),
    (IMAGES, {"schedule": "every night"}, "a.schedule: 'every night' has 2 fields; a cron expression has five"),
    (IMAGES, {"schedule": "61 3 * * *"}, "a.schedule: '61 3 * * *' is no cron expression that Prefect runs"),
    (IMAGES, {"schedule": "0 3 30 2 *"}, "a.schedule: '0 3 30 2 *' is never due"),
    (IMAGES, {"schedule": "@daily", "timezone": "Mars"}, "a.timezone: 'Mars' is no time zone"),
    (IMAGES, {"timezone": "UTC"}, "a: timezone: says when a schedule is due, and there is none"),
    (PAIRS, {"train": {"recipe": "gan", "images": 9}},
     "train.recipe: gan takes images or points or sounds or volumes or clips or sentences, and folder:///pairs has pairs"),
    (PAIRS, {"data__layout": ...}, "a: train.recipe: pix2pix takes pairs or predictions, and folder:///pairs has images; data.layout"),
    (PAIRS, {"data__layout": "beside"}, "a.data.layout: 'beside' is not allowed; 'images', 'side-by-side', 'paired-folders', 'un"),
    (PAIRS, {"data__source": "sklearn://digits"}, "a.data: layout: only for folders, archives and buckets of images, not sklearn://digits"),
    (PAIRS, {"data__folders": ["A", "B"]}, "a.data: folders: only with layout paired-folders or unpaired-folders"),
    (PAIRS, {"data__layout": "paired-folders", "data__folders": ["A", "../B"]}, "a.data.folders: '../B' is not the name of a folder"),
    (PAIRS, {"data__layout": "paired-folders", "data__folders": ["A", "A"]}, "a.data.folders: 'A' stands there twice"),
    (PAIRS, {"data__stack": True}, "a.data: stack: puts plain images on top of each other"),
    (PAIRS, {"data__stack": True, "data__layout": "attributes"}, "a.data: stack: puts plain images on top of each other"),
    (IMAGES, {"data__stack": True, "data__corruption": "noise"}, "a.data: stack: puts plain images on top of each other"),
    (IMAGES, {"data__stack": True, "data__channels": 3}, "a.data: stack: takes grey images, one a colour channel"),
    (POINTS, {"data__stack": True}, "a.data: stack: only for images, and points://circle has none"),
    (PAIRS, {"data__corruption": "noise"}, "a.data: corruption: makes pairs of plain images, and layout side-by-side has others"),
    (IMAGES, {"data__direction": "b-to-a"}, "a.data: direction: layout images has none"),
    (IMAGES, {"data__corruption": "grey", "data__channels": 1}, "a.data: corruption: grey takes the colour from images"),
    (IMAGES, {"data__corruption": "downsample", "data__size": 10}, "a.data: corruption: downsample makes images four times smaller"),
    (IMAGES, {"data__corruption": "noise"},
     "a: train.recipe: gan takes images or points or sounds or volumes or clips or sentences, and sklearn://digits has pairs"),
    (POINTS, {"data__corruption": "noise"}, "a.data: corruption: only for images, and points://circle has none"),
    (PAIRS, {"data__size": 50}, "a: data.size: 50 cannot be halved down to 4, 5, 6 or 7 as the U-Net needs; the nearest that can is 48"),
    (PAIRS, {"train__generator": {"widths": [8, 8, 8, 8, 8, 8, 8]}}, "a: train.generator.widths: 7 halvings, and data.size is 64"),
    (PAIRS, {"train__generator": {"widths": [8], "width": 8}}, "a: train.generator.widths: give width or widths, not both"),
    (PAIRS, {"data__size": 16, "train__discriminator": {"patch": 70}}, "a: train.discriminator.patch: 70 needs at least 32 pixels"),
    (PAIRS, {"train__adversarial": 0, "train__reconstruction": 0}, "a: train.reconstruction: with adversarial 0 too there is"),
    (IMAGES, {"register": {"require": {"recall": "0.4"}}}, "recall: '0.4' is no condition; write it as \">= 0.4\", with >=, <=, > or <"),
    (IMAGES, {"register": {"require": {"recall": ">= much"}}}, "recall: '>= much' is no condition"),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "changes", "message"), COMBINATIONS)
def test_an_impossible_combination_is_named_with_the_way_out(entry: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    found = problem(document(entry, **changes))
    assert message in found
    assert found.startswith("params.yaml: generators.a")


def test_label_smoothing_goes_with_both_cross_entropies() -> None:
    for loss in ("non-saturating", "minimax"):
        parse(document(train__label_smoothing=0.1, train__loss=loss))


def test_every_mistake_of_every_entry_is_named_at_once() -> None:
    first = document(train__imagse=1, train__batch="x")["generators"]["a"]
    second = document(data__source="sklearn://digit")["generators"]["a"]
    message = problem({"generators": {"one": first, "two": second, "Bad Name": {}, "list": [1]}, "generator": {}})
    assert [line.split(": ")[1] for line in message.splitlines()] == [
        "generator",
        "generators.one.train.batch",
        "generators.one.train.imagse",
        "generators.two.data.source",
        "generators.Bad Name",
        "generators.list",
    ]


@pytest.mark.parametrize("name", ["Digits", "a b", "", "-a", "_a", "a" * 64, "a/b", "..", "ä", "a\n"])
def test_a_name_that_could_not_name_a_folder_and_a_model_is_refused(name: Any) -> None:
    message = problem({"generators": {name: IMAGES}})
    assert "a name has 1 to 63 of a-z, 0-9, - and _, and starts with a letter or digit" in message


@pytest.mark.parametrize("name", ["a", "0", "shop-photos_2", "a" * 63])
def test_a_name_that_can_is_taken(name: str) -> None:
    assert list(parse({"generators": {name: IMAGES}})) == [name]


@pytest.mark.parametrize("wrong", [None, [], "generators", {}, {"generators": None}, {"generators": []}, {"generator": {}}, 3])
def test_a_document_of_another_form_is_refused(wrong: Any) -> None:
    assert problem(wrong) == "params.yaml: expected a mapping `generators:` with an entry a generator"


def test_no_entry_at_all_is_no_mistake() -> None:
    assert parse({"generators": {}}) == {}


class TestFile:
    def write(self, folder: Path, text: str) -> Path:
        (folder / "params.yaml").write_text(text)
        return folder

    def test_what_ships_is_what_is_read(self) -> None:
        entries = load(REPOSITORY)
        assert {"digits", "circle"} <= set(entries)
        assert all(isinstance(entry, Entry) for entry in entries.values())
        assert (entries["digits"].data.source, entries["digits"].train.condition) == ("sklearn://digits", "label")
        assert (entries["circle"].data.source, entries["circle"].data.radius) == ("points://circle", 2.0)

    def test_every_example_is_one_or_more_entries(self) -> None:
        for path in sorted((REPOSITORY / "examples").glob("*.yaml")):
            section = YAML(typ="safe", pure=True).load(path.read_text())
            assert parse(section if "generators" in section else {"generators": section}, where=path.name), path

    def test_a_missing_file_says_how_to_make_one(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"params\.yaml: not there; run in a workspace, or make one with `gantry init DIR`"):
            load(tmp_path)

    def test_an_unknown_generator_is_named_with_the_nearest_or_with_all(self, tmp_path: Path) -> None:
        self.write(tmp_path, json.dumps({"generators": {"digits": IMAGES, "circle": POINTS}}))
        assert load_entry(tmp_path, "circle").data.kind == "points"
        with pytest.raises(ConfigError, match=r"params\.yaml: no generator 'digit'; did you mean digits\?"):
            load_entry(tmp_path, "digit")
        with pytest.raises(ConfigError, match=r"no generator 'xyz'; it has: circle, digits"):
            load_entry(tmp_path, "xyz")
        with pytest.raises(ConfigError, match=r"no generator 'xyz'; it has: none"):
            load_entry(self.write(tmp_path, "generators: {}"), "xyz")

    @pytest.mark.parametrize(
        "text",
        [
            "generators: {a: [}",
            "generators:\n  a: 1\n  a: 2\n",
            "generators: *nothing",
            "\tgenerators: 1",
            "a: !!python/object/apply:os.system ['true']",
            "a: !unheard of",
            "? {a: 1}\n: 2\n",
            "a: 2001-13-45",
            "a: 2001-01-01 25:61:61",
            "a: !!int twelve",
            "a: !!float ''",
            "a: !!bool maybe",
            "- ? - ? ",
            "[" * 1_000,
            "a: \x00",
            "--- a\n--- b\n",
        ],
    )
    def test_what_is_no_yaml_is_named_with_its_place(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(ConfigError, match=r"params\.yaml: not valid YAML: .+"):
            load(self.write(tmp_path, text))

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("generators:\n  a:\n    data: {source: points://ring}\n", r"line 3: DVC, which reads this file too, refuses it .*quotes$"),
            (
                "%YAML 1.1\n---\ngenerators: {a: {seed: 010}}\n",
                r"generators\.a\.seed: is 8 to one YAML reader and 10 to DVC's; write it in quotes",
            ),
            ("%YAML 1.1\n---\ngenerators: {a: {stack: yes}}\n", r"generators\.a\.stack: is True to one YAML reader and 'yes' to DVC's"),
            ("generators: {a: &x {b: 1}, c: &x {b: 2}}\n", r"line 1: DVC, .* refuses it .*write it otherwise$"),
            (
                "generators:\n<<<<<<< ours\n  a: {}\n=======\n  b: {}\n>>>>>>> theirs\n",
                r"line 2 begins a conflict .*\(<<<<<<< ours\); edit",
            ),
        ],
    )
    @pytest.mark.filterwarnings("ignore::ruamel.yaml.error.ReusedAnchorWarning")
    def test_what_dvc_reads_otherwise_or_git_left_is_named_with_its_line(self, tmp_path: Path, text: str, said: str) -> None:
        with pytest.raises(ConfigError, match=r"params\.yaml: " + said):
            load(self.write(tmp_path, text))

    def test_a_name_or_a_text_that_yaml_takes_for_a_number_wants_quotes(self) -> None:
        for name in (123, 1e3, None, True):
            with pytest.raises(ConfigError, match=rf"generators\.{name}: YAML reads this name as .*quotes"):
                parse({"generators": {name: IMAGES}})
        section = document(data__source="folder:///x", data__layout="unpaired-folders", data__folders=[2.0, 7.0])["generators"]["a"]
        with pytest.raises(ConfigError, match=r"data\.folders\.0: text is expected, and YAML reads 2\.0 as a number; write it in quotes"):
            parse({"generators": {"a": section}})

    def test_a_wrong_entry_leaves_the_others(self, tmp_path: Path) -> None:
        self.write(tmp_path, json.dumps({"generators": {"digits": IMAGES, "faces": {**IMAGES, "trian": {}}, "Rows!": IMAGES}}))
        found = read(tmp_path)
        assert list(found.entries) == ["digits"]
        assert {name: len(lines) for name, lines in found.wrong.items()} == {"faces": 1, "Rows!": 1}
        assert load_entry(tmp_path, "digits") == found.entries["digits"]
        with pytest.raises(ConfigError, match=r"^.*generators\.faces\.trian: unknown key; did you mean train\?$"):
            load_entry(tmp_path, "faces")
        with pytest.raises(ConfigError, match=r"faces.*\n.*Rows!"):
            load(tmp_path)

    def test_what_is_no_text_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "params.yaml").write_bytes(b"generators: \xff\xfe")
        with pytest.raises(ConfigError, match=r"params\.yaml: not UTF-8 text \(byte 12\)"):
            load(tmp_path)

    def test_a_folder_of_that_name_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "params.yaml").mkdir()
        with pytest.raises(ConfigError, match=r"params\.yaml: cannot be read"):
            load(tmp_path)

    def test_an_entry_that_holds_itself_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"generators\.a"):
            load(self.write(tmp_path, "generators: &all\n  a: *all\n"))


def test_reading_params_needs_no_heavy_library() -> None:
    """So that `gantry list` and a wrong entry answer at once."""
    code = "import sys, tasks.params; print(*sorted({'torch', 'mlflow', 'prefect', 'dvc', 'pandas', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


KEYS = sorted(
    {
        "generators", "data", "validate", "train", "evaluate", "register", "schedule", "source", "root", "size", "channels", "count",
        "radius", "sigma", "holdout", "seed", "max_quarantined", "recipe", "images", "batch", "optimizer", "betas", "generator",
        "discriminator", "network", "widths", "penalty", "gradient", "clip", "loss", "label_smoothing", "require", "improve", "fid", "a",
    }
)  # fmt: skip
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**12),
    st.floats(),
    st.text(max_size=12),
    st.binary(max_size=4),
    st.dates(),
    st.sampled_from(["sklearn://digits", "points://ring", "folder://x", "gan", "hinge", "mlp", ">= 0.4", "* * * * *", "0 0 L * 5#3"]),
    st.text("*/,-0123456789LW# ", max_size=14),
)
ANYTHING = st.recursive(
    VALUES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.sampled_from(KEYS), VALUES), inner, max_size=5)),
    max_leaves=12,
)


def refusal(call: Callable[[], Any]) -> str | None:
    """What the `ConfigError` says, or None where nothing is wrong; any other exception comes through."""
    try:
        call()
    except ConfigError as error:
        return str(error)
    return None


@settings(max_examples=1_500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(ANYTHING, st.fixed_dictionaries({"generators": st.dictionaries(st.sampled_from(["a", "B"]), ANYTHING, max_size=2)})))
def test_no_document_raises_anything_but_a_config_error(wrong: Any) -> None:
    said = refusal(lambda: parse(wrong))
    assert said is None or said.startswith("params.yaml: ")


@settings(max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([IMAGES, POINTS]), st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS), ANYTHING), max_size=3))
def test_no_change_of_a_good_entry_raises_anything_but_a_config_error(entry: dict[str, Any], changes: list[tuple[str, str, Any]]) -> None:
    """Nearly right is where the validators run that an arbitrary document never reaches."""
    changed = copy.deepcopy(entry)
    for section, key, value in changes:
        if isinstance(changed.get(section), dict):
            changed[section][key] = value
        else:
            changed[section] = value
    said = refusal(lambda: parse({"generators": {"a": changed}}))
    assert said is None or said.startswith("params.yaml: generators.a")


YAML_PIECES = st.sampled_from(
    ["generators", "a", "data", ": ", ":", "\n", "\n  ", "\n    ", "- ", "? ", "[", "]", "{", "}", ",", "&x ", "*x", "<<: ", "|", ">",
     "'", '"', "!!int ", "!!float ", "!!bool ", "!!set ", "!!omap ", "!!binary ", "!!timestamp ", "2001-13-45", "1_000", "0o9", ".inf",
     "1:2:3", "\\", "#", "---", "...", "%YAML 1.1\n", "@", "`", "é", "{}"]
)  # fmt: skip


@settings(max_examples=1_500, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.lists(YAML_PIECES, max_size=14).map("".join))
@pytest.mark.filterwarnings("ignore::ruamel.yaml.error.ReusedAnchorWarning")
def test_no_file_raises_anything_but_a_config_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    said = refusal(lambda: load(tmp_path))
    assert said is None or said.startswith(str(tmp_path / "params.yaml"))


@pytest.mark.parametrize(
    ("role", "player", "message"),
    [
        ("generator", {"dropout": 0.3}, "train.generator.dropout: unknown key; allowed: network, width, widths"),
        ("generator", {"batch_distance": True}, "train.generator.batch_distance: unknown key"),
        ("generator", {"hidden": 8}, "train.generator.hidden: unknown key"),
        ("generator", {"components": 8}, "train.generator.components: the dcgan network has no such setting; leave it out"),
        ("discriminator", {"network": "residual", "hidden": 8}, "train.discriminator.hidden: unknown key; allowed: network, normalization"),
        ("generator", {"network": "mlp", "width": 8}, "train.generator.width: unknown key; did you mean widths?"),
        ("discriminator", {"network": "residual", "widths": [8]}, "train.discriminator.widths: unknown key; did you mean width?"),
        (
            "discriminator",
            {"network": "residual", "normalization": "batch"},
            "train.discriminator.normalization: 'batch' is not allowed; 'none' or 'spectral' is",
        ),
        ("generator", {"network": "dcagn"}, "train.generator.network: 'dcagn' is no network; did you mean dcgan?"),
        ("generator", {"network": "unet"}, "train.generator.network: unet draws pairs or predictions, and the source has images"),
    ],
)
def test_a_setting_that_the_network_would_ignore_is_refused(role: str, player: dict[str, Any], message: str) -> None:
    entry = {"data": {"source": "sklearn://digits", "size": 16}, "validate": {}, "evaluate": {}, "register": {}}
    with pytest.raises(ConfigError) as raised:
        parse({"generators": {"x": {**entry, "train": {"recipe": "gan", "images": 10, role: player}}}})
    assert message in str(raised.value)


def test_a_size_that_convolutions_cannot_halve_is_refused_before_anything_is_fetched() -> None:
    entry = {"data": {"source": "sklearn://digits", "size": 18}, "validate": {}, "evaluate": {}, "register": {}}
    with pytest.raises(ConfigError, match=r"data\.size: 18 cannot be halved"):
        parse({"generators": {"x": {**entry, "train": {"recipe": "gan", "images": 10}}}})
    dense = {"recipe": "gan", "images": 10, "generator": {"network": "mlp"}, "discriminator": {"network": "mlp"}}
    parse({"generators": {"x": {**entry, "train": dense}}})
