"""A kind of data of somebody else's: a class on each floor and a line in each list, and all that the stages do is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_sets import noise, png
from torch import Tensor

from gan_core.data.dataset import Dataset
from gan_core.generator import Generator
from gan_core.kinds import KINDS as SPECIFICATIONS
from gan_core.kinds.images import Images
from gan_core.metrics.features import RandomConvExtractor
from gan_core.params.gan import GanParams
from gan_core.params.networks import DcganDiscriminatorParams, DcganGeneratorParams
from gan_core.training import train
from tasks import kinds
from tasks.fetch import fetch
from tasks.judging import score
from tasks.kinds.images import ImageKind
from tasks.params import DataParams, parse
from tasks.sample_files import write_samples
from tasks.validate import validate
from tasks.validation.drift import Statistics
from tasks.validation.packing import Good
from tasks.workspace import Workspace

NETWORK = {"network": "dcgan", "width": 8}


@dataclass(frozen=True)
class Negatives(Images):
    """Images whose networks see black as white."""

    kind = "negatives"

    def to_networks(self, samples: Tensor) -> Tensor:
        return -super().to_networks(samples)

    def to_samples(self, made: Tensor) -> Tensor:
        return super().to_samples(-made)


class NegativeKind(ImageKind):
    layouts = ("negatives",)
    makes = "negatives"

    def _pack(self, folder: Path, good: Good, data: DataParams) -> Negatives:
        return Negatives.pack(folder, good.pictures(good.numbers(), data.channels))


@pytest.fixture
def negatives(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    SPECIFICATIONS["negatives"], kinds.KINDS["negatives"] = Negatives, NegativeKind
    for takes_it in (GanParams, DcganGeneratorParams, DcganDiscriminatorParams):
        monkeypatch.setattr(takes_it, "kinds", (*takes_it.kinds, "negatives"))
    yield
    del SPECIFICATIONS["negatives"], kinds.KINDS["negatives"]


@pytest.mark.usefixtures("negatives")
def test_it_goes_from_files_to_scores_and_back_to_files(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for i in range(60):
        (tmp_path / "pictures" / f"{i}.png").write_bytes(png(noise(i, 8, 8)))
    (tmp_path / "pictures" / "broken.png").write_bytes(png(noise(0))[:50])
    data = {"source": f"folder://{tmp_path}/pictures", "layout": "negatives", "size": 8}
    recipe = {"recipe": "gan", "images": 64, "batch": 16, "generator": NETWORK, "discriminator": NETWORK}
    sections = {"data": data, "validate": {"min_samples": 10, "max_quarantined": 0.1}, "train": recipe, "evaluate": {}, "register": {}}
    entry, workspace = parse({"generators": {"set": sections}})["set"], Workspace(tmp_path)
    fetch(workspace, "set", entry)
    validate(workspace, "set", entry)

    dataset = Dataset.open(workspace.ready("set"))
    assert isinstance(dataset.spec, Negatives)
    assert sum(dataset.spec.counts.values()) == 60
    assert list(Statistics.of(dataset).columns) == ["brightness", "contrast"]
    train(entry.train, dataset, tmp_path / "run")
    generator = Generator.load(tmp_path / "run" / "generator")
    assert kinds.of(generator.config.kind).default_metric(score(generator, dataset, RandomConvExtractor.fit(dataset), entry.evaluation))

    samples = generator.sample(4)
    write_samples(samples, tmp_path / "out")
    with Image.open(tmp_path / "out" / "2.png") as image:
        np.testing.assert_array_equal(np.asarray(image), samples.samples[2, 0])
    assert kinds.of(samples.kind).answered(generator.config) == [("string", "png")]
    assert list(kinds.of(samples.kind).answer(samples, None).columns) == ["png"]
