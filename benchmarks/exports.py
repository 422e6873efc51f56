"""The generators of the examples in forms that need no Gantry: `python -m benchmarks.exports [NAME ...]`. Prints a Markdown table.

Each has the networks of its entry and the size of its data, and random weights, which are exported as trained ones are. Each file is read
back and run on fresh inputs by the exporter, which says the largest difference; the seconds are the processor's, of the whole.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from sklearn.datasets import load_breast_cancer

from gan_core.data.dataset import DatasetSpec
from gan_core.errors import ConfigError
from gan_core.generator import Generator
from gan_core.kinds.attributes import Attributed
from gan_core.kinds.captions import Captioned
from gan_core.kinds.clips import Clips
from gan_core.kinds.images import Images
from gan_core.kinds.pairs import Pairs
from gan_core.kinds.points import Points
from gan_core.kinds.predictions import Predictions
from gan_core.kinds.schema import Column, Schema
from gan_core.kinds.sentences import Sentences
from gan_core.kinds.sounds import Sounds
from gan_core.kinds.table import Table
from gan_core.kinds.unpaired import Unpaired
from gan_core.kinds.volumes import Volumes
from gan_core.recipes import build_recipe
from tasks import params, scaffold
from tasks.export import SUFFIXES, Format, export

TEN = tuple("0123456789")
GREY = (1, 28, 28)
FORMS: tuple[Format, ...] = ("onnx", "torch-export", "folder", "huggingface")


def colour(height: int, width: int | None = None) -> tuple[int, int, int]:
    """The shape of a picture in colour, square by default."""
    return 3, height, width or height


def words(count: int) -> tuple[str, ...]:
    """So many of them."""
    return tuple(map(str, range(count)))


def rows() -> Table:
    """Breast-cancer's columns, fitted to all of its rows."""
    found = load_breast_cancer()
    schema = Schema(tuple(Column(str(name), "number", "float64") for name in found.feature_names), "target", "int64")
    return Table((30,), classes=("0", "1"), schema=schema.fitted(found.data, found.target, 2, 1))


def data() -> Mapping[str, DatasetSpec]:
    """What the data of each entry is like once it is packed."""
    ring = {"mean": (0.0, 0.0), "std": (1.4, 1.4)}
    grey = Images(GREY)
    return {
        "digits": Images((1, 16, 16), classes=TEN),
        "circle": Points((2,), **ring),
        "ring8": Points((2,), **ring),
        "grid25": Points((2,), **ring),
        "breast-cancer": rows(),
        **dict.fromkeys(("mnist-dcgan", "mnist-mixed", "mnist-mlp", "mnist-wgan", "mnist-wgan-gp"), grey),
        **dict.fromkeys(("mnist", "mnist-cgan"), Images(GREY, classes=TEN)),
        "stacked-mnist": Images((3, 28, 28)),
        "clothing": Images(colour(32), classes=TEN),
        "clothing-64": Images(colour(64), classes=TEN),
        "tilted-digits": Images((1, 16, 16), numbers=(-60.0, 60.0)),
        "sign-digits": Images(colour(64), classes=TEN),
        "sign-digits-few": Images(colour(64), classes=TEN),
        **{name: Pairs(colour(side), inputs=colour(side)) for name, side in (("facades", 128), ("facades-reverse", 128), ("denoise", 64))},
        **{name: Pairs(colour(64), inputs=colour(64)) for name in ("inpaint", "superres")},
        "colorize": Pairs(colour(64), inputs=(1, 64, 64)),
        "emoji-tones": Attributed(colour(32), classes=tuple("12345"), inputs=colour(32)),
        "cat2dog": Unpaired(colour(64), inputs=colour(64)),
        "facades-unpaired": Unpaired(colour(64), inputs=colour(64)),
        "emoji": Captioned(colour(64), vocabulary=words(1_949), caption_length=13, examples=("1",)),
        "coco-captions": Sentences((24,), vocabulary=words(1_998)),
        "spoken-digits": Sounds((1, 8_000), classes=TEN, bands=32),
        "chairs": Volumes((1, 32, 32, 32), classes=("1", "12", "4", "7")),
        "moving-shapes": Clips((3, 16, 32, 32), classes=("left", "up")),
        "predict-shapes": Predictions((3, 12, 32, 32), inputs=(3, 4, 32, 32)),
    }


def entries() -> Mapping[str, params.Entry]:
    """All that Gantry brings along, by name."""
    files = [scaffold.template("params.yaml"), *sorted(scaffold.template("examples").glob("*.yaml"))]
    return {name: entry for file in files for name, entry in params.parse_text(file.read_text()).items()}


def untrained(entry: params.Entry, spec: DatasetSpec) -> Generator:
    """The generator that the entry trains, as it begins."""
    torch.manual_seed(0)
    recipe = build_recipe(entry.train, spec, torch.device("cpu"))
    return Generator(recipe.generator_config(0), recipe.players[recipe.shipped].eval())


def row(name: str, generator: Generator, folder: Path) -> str:
    """A line of the table."""
    cells = [name]
    for form in FORMS:
        start = time.process_time()
        try:
            made = export(generator, form, folder / f"{name}-{form}{SUFFIXES.get(form, '')}", name)
        except ConfigError:
            cells.append("no")
            continue
        apart = "" if made.difference is None else f", {made.difference:.1e}"
        cells.append(f"{made.size / 1e6:.2f} MB{apart}, {time.process_time() - start:.1f} s")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Export, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="entries; all by default")
    specs, known = data(), entries()
    asked = parser.parse_args().names or list(specs)
    print(f"| entry | {' | '.join(FORMS)} |")
    print("|---" * (len(FORMS) + 1) + "|")
    with tempfile.TemporaryDirectory(prefix="gantry-exports-") as scratch:
        for name in asked:
            print(row(name, untrained(known[name], specs[name]), Path(scratch)), flush=True)


if __name__ == "__main__":
    main()
