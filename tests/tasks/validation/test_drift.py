"""Drift: what is planted is named, what is chance is not, and a version keeps what later data is compared with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from raw_sets import entry, write_arrays
from sklearn.datasets import load_digits

from gan_core.data.dataset import Dataset
from gan_core.errors import DataError, RegistryError
from gan_core.kinds.images import Images
from gan_core.kinds.points import Points
from gan_core.kinds.schema import Column, Schema
from gan_core.kinds.table import Table
from tasks.params import ValidateParams
from tasks.records import tracking
from tasks.records.registry import Registry
from tasks.validate import validate
from tasks.validation import drift
from tasks.validation.drift import Drift, Statistics
from tasks.workspace import Workspace

DIGITS = tuple("0123456789")


def data_set(images: NDArray[Any], labels: NDArray[Any], classes: tuple[str, ...] = DIGITS) -> Dataset:
    spec = Images(images.shape[1:], {"train": len(images), "holdout": 0}, classes)
    return Dataset(spec, {"train": images}, {"train": labels})


def points(values: NDArray[Any]) -> Dataset:
    return Dataset(Points(values.shape[1:], {"train": len(values), "holdout": 0}), {"train": values.astype(np.float32)}, {})


@pytest.fixture(scope="module")
def halves() -> tuple[tuple[NDArray[Any], NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]:
    """Two halves of scikit-learn's digits, by chance."""
    images, labels = load_digits(return_X_y=True)
    images = (images * 15.9).astype(np.uint8).reshape(-1, 1, 8, 8)
    order = np.random.default_rng(0).permutation(len(images))
    return (images[order[:900]], labels[order[:900]]), (images[order[900:]], labels[order[900:]])


def found(old: Dataset, new: Dataset, **limits: Any) -> Drift:
    return drift.compare(Statistics.of(old), Statistics.of(new), 4, ValidateParams(**limits))


class TestPlanted:
    def test_brightness(self, halves: Any) -> None:
        (images, labels), (others, other_labels) = halves
        brighter = np.clip(others.astype(int) + 20, 0, 255).astype(np.uint8)
        findings = found(data_set(images, labels), data_set(brighter, other_labels)).findings
        assert any(finding.startswith("brightness is higher: ") for finding in findings)
        assert not any("class" in finding for finding in findings)

    def test_contrast(self, halves: Any) -> None:
        (images, labels), (others, other_labels) = halves
        flat = (others * 0.5 + 40).astype(np.uint8)
        findings = found(data_set(images, labels), data_set(flat, other_labels)).findings
        assert any(finding.startswith("contrast is lower: ") for finding in findings)

    def test_a_lost_class(self, halves: Any) -> None:
        (images, labels), (others, other_labels) = halves
        left = other_labels != 3
        (finding,) = found(data_set(images, labels), data_set(others[left], other_labels[left])).findings
        assert finding.startswith("class 3 is lost: ")
        back = found(data_set(others[left], other_labels[left]), data_set(images, labels)).findings
        assert [finding for finding in back if finding.startswith("class 3 is new: ")]

    def test_a_lost_class_that_the_data_no_longer_knows(self, halves: Any) -> None:
        (images, labels), (others, other_labels) = halves
        left = other_labels != 9
        (finding,) = found(data_set(images, labels), data_set(others[left], other_labels[left], DIGITS[:9])).findings
        assert finding.startswith("class 9 is lost: ")

    def test_a_doubled_class(self, halves: Any) -> None:
        (images, labels), (others, other_labels) = halves
        twice = np.concatenate([np.arange(len(others)), np.flatnonzero(other_labels == 7)])
        (finding,) = found(data_set(images, labels), data_set(others[twice], other_labels[twice])).findings
        assert finding.startswith("class 7 has ")
        assert "times as many samples beside the others" in finding

    def test_half_of_two_classes_doubles(self) -> None:
        """However large the class is: of the odds, not of the share, which only grows from 1/2 to 2/3."""
        images = np.random.default_rng(0).integers(0, 256, (1_500, 1, 8, 8), dtype=np.uint8)
        even, uneven = np.arange(1_000) % 2, np.arange(1_500) % 3 % 2
        findings = found(data_set(images[:1_000], even, ("a", "b")), data_set(images, uneven, ("a", "b"))).findings
        assert findings == (
            "class a has 2 times as many samples beside the others: 66.7%, before 50.0%",
            "class b has 2 times fewer samples beside the others: 33.3%, before 50.0%",
        )

    def test_what_brightness_and_labels_do_not_see(self, halves: Any) -> None:
        (images, labels), (others, other_labels) = halves
        (finding,) = found(data_set(images, labels), data_set(others[:, :, :, ::-1], other_labels)).findings
        assert finding.startswith("the samples look different: ")

    def test_columns_of_points(self) -> None:
        draw = np.random.default_rng(0)
        old, new = draw.normal(0, 1, (800, 2)), draw.normal(0, 1, (700, 2)) * [1, 2] + [1, 0]
        findings = found(points(old), points(new)).findings
        assert findings[0].startswith("x0 is higher: ")
        assert findings[1].startswith("x1 varies more: standard deviation ")

    def test_columns_of_a_table(self) -> None:
        draw = np.random.default_rng(0)
        schema = Schema((Column("age", "number", "float64"), Column("town", "category", "string", ("Aachen", "Bonn", "Celle"))))

        def table(ages: NDArray[Any], towns: NDArray[Any]) -> Dataset:
            spec = Table((2,), {"train": len(ages), "holdout": 0}, schema=schema)
            return Dataset(spec, {"train": np.stack([ages, towns], axis=1).astype(np.float64)}, {})

        old = table(draw.normal(40, 10, 900), draw.integers(0, 3, 900))
        assert found(old, table(draw.normal(40, 10, 900), draw.integers(0, 3, 900))).findings == ()
        findings = found(old, table(draw.normal(50, 10, 900), draw.integers(0, 2, 900))).findings
        assert findings[0].startswith("age is higher: ")
        assert any(finding.startswith("town Celle is lost: ") for finding in findings)

    def test_a_column_that_never_changes_does_not_vary_less(self) -> None:
        """Of equal values rounding leaves a deviation above 0, another one by their number."""
        draw = np.random.default_rng(0)
        schema = Schema((Column("dose", "number", "float64"), Column("x", "number", "float64")))

        def table(count: int) -> Dataset:
            rows = np.stack([np.full(count, 0.1), draw.normal(size=count)], axis=1)
            return Dataset(Table((2,), {"train": count, "holdout": 0}, schema=schema), {"train": rows}, {})

        statistics = [Statistics.of(table(count)) for count in (911, 1_004, 1_130)]
        assert [one.columns["dose"].std for one in statistics] == [0.0] * 3
        # As versions of before the mending have it.
        former = replace(statistics[0], columns={**statistics[0].columns, "dose": drift.Moments(0.1, 1.38778e-17)})
        for old in (statistics[0], former):
            for new in statistics:
                assert drift.compare(old, new, 1, ValidateParams()).findings == ()

    def test_gaps_that_come_are_said(self) -> None:
        draw = np.random.default_rng(0)
        schema = Schema((Column("age", "number", "float64", missing=0.1), Column("x", "number", "float64")))

        def table(share: float) -> Dataset:
            rows = draw.normal(size=(900, 2))
            rows[draw.random(900) < share, 0] = np.nan
            return Dataset(Table((2,), {"train": 900, "holdout": 0}, schema=schema), {"train": rows}, {})

        assert found(table(0.1), table(0.1)).findings == ()
        findings = found(table(0.1), table(0.4)).findings
        assert findings[0].startswith("age (missing) has ")

    def test_another_shape(self, halves: Any) -> None:
        (images, labels), _ = halves
        (finding,) = found(data_set(images, labels), data_set(images.repeat(2, axis=3), labels)).findings
        assert finding == "the data holds images of shape (1, 8, 16) now, and held images of shape (1, 8, 8)"


class TestChance:
    def test_halves_of_one_data_set_are_no_drift(self) -> None:
        images, labels = load_digits(return_X_y=True)
        images = (images * 15.9).astype(np.uint8).reshape(-1, 1, 8, 8)
        for seed in range(20):
            order = np.random.default_rng(seed).permutation(len(images))
            old, new = (data_set(images[part], labels[part]) for part in (order[:300], order[300:]))
            assert found(old, new).findings == (), seed

    def test_the_noise_floors_are_what_chance_makes(self, halves: Any) -> None:
        (images, labels), (others, other_labels) = halves
        same = found(data_set(images, labels), data_set(others, other_labels))
        assert same.labels is not None
        assert same.features is not None
        assert same.features["distance"] < same.features["noise"]
        draws = [np.random.default_rng(seed).integers(0, 10, (2, 900)) for seed in range(200)]
        shares = [[np.bincount(part, minlength=10) / 900 for part in draw] for draw in draws]
        expected = np.mean([np.abs(first - second).sum() / 2 for first, second in shares])
        counts = dict.fromkeys(DIGITS, 90)
        assert drift._label_distance(counts, counts)["noise"] == pytest.approx(expected, rel=0.05)

    def test_a_larger_limit_lets_more_pass(self, halves: Any) -> None:
        (images, labels), (others, other_labels) = halves
        brighter = data_set(np.clip(others.astype(int) + 20, 0, 255).astype(np.uint8), other_labels)
        assert found(data_set(images, labels), brighter, drift_shift=5.0).findings == ()


class TestStatistics:
    def test_text_and_back(self, halves: Any) -> None:
        statistics = Statistics.of(data_set(*halves[0]))
        text = statistics.as_json()
        assert Statistics.from_json(text) == statistics
        assert Statistics.of(data_set(*halves[0])).as_json() == text
        assert len(text) < 20_000

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 2, "digest": "x"}'])
    def test_a_damaged_text_is_refused(self, text: str) -> None:
        with pytest.raises(DataError):
            Statistics.from_json(text)

    def test_constant_images_have_them_too(self) -> None:
        black = data_set(np.zeros((20, 1, 8, 8), dtype=np.uint8), np.zeros(20, dtype=np.int64), ("a",))
        assert found(black, black).findings == ()


class TestInValidate:
    """The stage, with a champion in a real registry whose data was darker."""

    @pytest.fixture
    def place(self, workspace: Workspace, generator_folder: Path, halves: Any) -> Workspace:
        (images, labels), (others, other_labels) = halves
        registry = Registry.open(workspace)
        with tracking.run(workspace, "sets") as run:
            version = registry.add("sets", run.id, generator_folder, {}, "")
        drift.keep(registry, version, Statistics.of(data_set(images, labels)))
        registry.move_champion(version, None, "first")
        assert drift.kept(registry, version) == Statistics.of(data_set(images, labels))
        brighter = np.clip(others[:, 0].astype(int) + 20, 0, 255).astype(np.uint8)
        write_arrays(workspace.raw("sets"), brighter, other_labels, list(DIGITS))
        return workspace

    def test_it_warns_and_ready_stays_the_same(self, place: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
        source = {"source": "sklearn://digits"}
        validate(place, "sets", entry(source))
        assert "note: drift from the data of version 1: brightness is higher: " in capsys.readouterr().out
        record = json.loads((place.validation("sets") / "drift.json").read_text())
        assert record["champion"] == 1
        assert record["findings"][0].startswith("brightness is higher")
        digest = Dataset.open(place.ready("sets")).spec.digest
        validate(place, "sets", entry(source, {"drift": "off"}))
        assert "drift" not in capsys.readouterr().out
        assert not (place.validation("sets") / "drift.json").exists()
        assert Dataset.open(place.ready("sets")).spec.digest == digest

    def test_it_blocks(self, place: Workspace) -> None:
        with pytest.raises(DataError, match=r"sets: the data set is refused, it has drifted .* version 1\nbrightness is higher"):
            validate(place, "sets", entry({"source": "sklearn://digits"}, {"drift": "block"}))
        assert [path.name for path in place.ready("sets").iterdir()] == ["quarantine.csv"]
        assert (place.validation("sets") / "drift.json").exists()

    def test_a_registry_out_of_reach(self, place: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        validate(place, "sets", entry({"source": "sklearn://digits"}))
        assert "note: drift was not looked at: http://127.0.0.1:9" in capsys.readouterr().out
        with pytest.raises(RegistryError):
            validate(place, "sets", entry({"source": "sklearn://digits"}, {"drift": "block"}))
