"""params.yaml, read once and strictly.

`load(workspace)` gives every entry as a typed, frozen object or raises a `ConfigError` that names the key, what is allowed
there and the nearest spelling. DVC tracks the sections of an entry by name, so each entry carries all of them; an empty
section (`validate: {}`) takes the defaults.
"""

from __future__ import annotations

import difflib
import math
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from gan_core.errors import ConfigError
from gan_core.params import AnyRecipe
from gan_core.params.common import (
    Corruption,
    Depth,
    Fit,
    Kind,
    OneOf,
    Pretrained,
    Probability,
    Sides,
    Strict,
    nearest_sides,
    sides_in_words,
)
from gan_core.rules import Rule, contradiction, names_in
from tasks import cron, kinds
from tasks.addresses import check_address, is_table, is_text, is_url, without_query
from tasks.metrics import BETTER, FLOOR_ONLY, fewest_replicates
from tasks.validation.column_kinds import Asked

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

FOLDER_LAYOUTS = ("paired-folders", "unpaired-folders")
"""The layouts that `data.folders` is about."""
NO_LABELS_OF_FILES = ("none", "folders")
"""What `data.labels` may be where files have no labels of their own."""
NO_LABEL_FILE = (*NO_LABELS_OF_FILES, "names")
"""What `data.labels` may be beside a file."""
Side = Annotated[int, Field(ge=4, le=1024)]
DEFAULT_SIZE = 64
"""Height and width of image files after validation, where the entry does not say."""
CLIP_LAYOUTS = ("clips", "frame-folders")
"""The layouts of clips."""
LABELLED_LAYOUTS = ("images", "attributes", "sounds", "volumes", *CLIP_LAYOUTS, "sentences")
"""The layouts that `data.labels` is about."""
MOST_VOXELS = 128
"""Along each side of a volume."""
MISSING = ("?", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "<NA>", "#N/A")
"""Texts that usually stand for a missing cell of a table: those of pandas, and the question mark of older sets."""


def _is_part(value: object) -> object:
    if value is None or (isinstance(value, float) and 0 < value < 1) or (type(value) is int and value >= 1):
        return value
    raise ValueError(f"{str(value)[:80]!r} is no part of the data; write a share, such as 0.1, or how many samples, such as 500")


def _as_size(value: object) -> object:
    if isinstance(value, list | tuple):
        value = tuple(value)
        sides: tuple[Any, ...] = value
    else:
        sides = (value,) * 2
    if value is not None and (len(sides) != 2 or any(type(side) is not int or not 4 <= side <= 1024 for side in sides)):
        raise ValueError(f"{str(value)[:80]!r} is no size; write a number of pixels from 4 to 1024, or two of them, [height, width]")
    if value is not None and max(sides) > 32 * min(sides):
        raise ValueError(f"{sides[0]} x {sides[1]} pixels are too long for any network; one side may be 32 times the other at most")
    return value


def _as_labels(value: object) -> object:
    """One name, or several that differ."""
    if not isinstance(value, list | tuple):
        return value
    names = [name for name in value if isinstance(name, str) and name]
    if len(names) < len(value) or not names:
        raise ValueError(f"{str(value)[:80]} is no list of columns; write their names, such as [churned, plan]")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(repeated)[:80]} is named twice; name each column once")
    return names[0] if len(names) == 1 else tuple(names)


class ChildrenParams(Strict):
    """A second table, whose rows belong to those of the first, as orders to customers; each row is drawn with its children."""

    source: str
    """Its address; the same kinds of tables as `data.source`."""
    key: Annotated[str, Field(min_length=1)]
    """Its column that holds what `data.key` holds in the row that it belongs to."""
    name: Annotated[str, Field(pattern=r"[A-Za-z_][A-Za-z0-9_-]*")] | None = None
    """What its file is called when rows are written, and the column that says how many there are, as in `--where "orders>=3"`. None: as the
    source's own."""
    order: Annotated[str, Field(min_length=1)] | None = None
    """Its column of numbers or dates that the children of a row are in the order of, in the data and in what is drawn, as the days of
    orders. None: they are in that of their file."""
    most: Annotated[int, Field(ge=1, le=100)] = 20
    """Children that a row has at most; of more the data is refused. Memory grows with it, and time with how many rows really have."""
    columns: Mapping[str, str] = Field(default_factory=dict)
    """What its columns are, as `data.columns` says it of the first table's."""
    categorical: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """The same as `data.categorical`."""
    drop: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """The same as `data.drop`."""

    @field_validator("source")
    @classmethod
    def _is_table(cls, source: str) -> str:
        check_address(source)
        if not is_table(source):
            raise ValueError(f"{source} names no table; write one such as table:///path/to/orders.csv")
        return source

    @model_validator(mode="after")
    def _key_is_no_other_column(self) -> Self:
        for key in ("columns", "categorical", "drop"):
            if self.key in getattr(self, key):
                raise ValueError(f"{key}: {self.key} is the key already, which is drawn with its parent; take it out")
        return self


class DataParams(Strict):
    """Where the samples come from and how they are laid out. One of the sources:

    `sklearn://digits`, and `tilted-digits` by their angle; `points://circle`, `ring` and `grid`; `torchvision://MNIST` and its siblings
    (FashionMNIST, KMNIST, QMNIST); `folder://PATH`, a folder, or an archive (zip, tar) or a folder in it, laid out as `layout` says;
    `arrays://PATH`, images in arrays of many (.npy, .npz, idx), and their labels; `table://PATH`, a CSV (UTF-8) or Parquet file;
    `text://PATH`, a file of sentences, one a line or in a column;
    `sklearn://breast-cancer`, `iris` and `wine`, real tables; `shop://customers` and `shop://orders`, two drawn ones, the second of which
    belongs to the first;
    `s3://bucket/path`, `gs://` and `az://`, the objects below a path, or an archive or a table there; `https://host/path`, an archive, a
    table or a text. `$VARIABLE` in a path or URL is expanded, which is where secrets belong.
    """

    source: str
    root: str | None = None
    """torchvision only: a filled data set folder (the one that holds `MNIST/raw`); None downloads below `.gantry/downloads`."""
    size: Annotated[Side | tuple[Side, Side] | None, BeforeValidator(_as_size)] = None
    """Images, frames of clips: their side in pixels after validation, or [height, width]. None keeps the source's own size (arrays) or 64
    (files). Volumes: voxels along each side, at most 128; None: 32."""
    fit: Fit = "crop"
    """Images of another shape: `crop`, the largest central part of the right shape, scaled; `pad`, the whole, scaled and with white beside
    it; `stretch`, the whole, scaled to the shape; `random-crop`, parts as large as `size`, not scaled. Partners are treated alike."""
    crops: Annotated[int, Field(ge=1, le=10_000)] = 16
    """fit random-crop: how many are taken of each file, at most; of a small one, no more than fit beside each other. A function of content
    and seed."""
    up: Literal["x", "y", "z"] = "z"
    """Volumes: the axis of the files that is upright; of .binvox files it is always y."""
    frames: Annotated[int, Field(ge=2, le=128)] = 16
    """Clips: how many frames each has. A longer file becomes several clips, all of which are held out or none; a shorter one goes to
    quarantine."""
    every: Annotated[int, Field(ge=1, le=100)] = 1
    """Clips: of a file's frames every so-many-th is taken: with 2, clips last twice as long and move in twice as large steps."""
    given: Annotated[int, Field(ge=1, le=127)] | None = None
    """Clips: how many of the frames a generator is given, to make the others of them; None: it makes whole clips of nothing."""
    channels: Annotated[int, Field(ge=1, le=1_000)] | None = None
    """Images, clips: 1 is grey, 3 RGB, and files are brought to it; None: what most of the files are. Images: of another number each file
    must have as many: samples of a TIFF file, or as many pages; an axis of a NumPy array; red, green, blue and alpha, for 4."""
    depth: Depth = 8
    """Images: what values are kept in. `8`: 0 to 255. `16`: whole numbers of 16 bits, from files that have more than 8; `float`: floats,
    which needs `range`. These two are kept as the files have them, and what is generated has the same units."""
    show: Annotated[tuple[Annotated[int, Field(ge=1, le=1_000)], ...], Field(strict=False)] | None = None
    """Images: which channels a picture for people shows, counted from 1: three as red, green and blue, such as [4, 3, 2], or one as grey,
    such as [5]. None: the first three where there are so many, otherwise the first."""
    range: Literal["type", "data"] | tuple[float, float] = "type"
    """Images: the values that become black and white, alike in all files: `type`, those of the file's type (0 and 255, of 12 bits 0 and
    4,095, of 16 bits 0 and 65,535); `data`, the lowest and the highest of all files; or two numbers, such as [0, 4095]. They are counted
    as the file does, of fewer than 8 bits as if there were 8; what is outside is cut off. Float and signed pixels need it."""
    layout: str = "images"
    """Folders, archives and buckets. `images`: flat, or a folder a class. `attributes`: images with labels, each of which is translated to
    every other label. `sounds`: as images, of sound files. `volumes`: the same of voxels and meshes. `clips`: of animated pictures, strips
    of frames, and videos; `frame-folders`: a folder of frames each, flat or in a folder a class. `sentences`: of texts, of which each holds
    many. `captions`: images, and a file that says what they show. For translation from image to image: `side-by-side`, both in one file,
    the left half is A and the right half is B; `paired-folders`, two folders A and B, where a file's partner has the same name but for what
    follows the last dot; `unpaired-folders`, two folders of images, neither of which has partners in the other."""
    folders: Annotated[tuple[str, str], Field(strict=False)] = ("A", "B")
    """The two folders, A and B, that `layout` is about, by their names in the source."""
    direction: Literal["a-to-b", "b-to-a"] = "a-to-b"
    """Whether images such as A become such as B, or the other way."""
    captions: str = "captions.csv"
    """layout captions: the captions file, as `tasks.sources.annotations` describes it; relative to the source's folder, and inside it."""
    labels: str = "folders"
    """layout images, attributes, sounds, volumes, clips and sentences: what a file's class is. `folders`: the first folder of its path,
    where files lie in several; `none`: nothing, however they lie; `names`: what `label_pattern` finds in its path; otherwise what a file
    says, such as labels.csv (file,label) or StyleGAN's dataset.json, as `tasks.sources.annotations` describes it; relative to the source's
    folder, and inside it."""
    label_pattern: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    """labels in a file: what of each label counts, where it says more: a regular expression (Python's), of which what its parentheses hold,
    joined, or all that it finds, is the class. A file in whose label it is not found is left out. labels names: the same of a file's path,
    as '_([0-9]+)[.]' for chair_182_7.mat."""
    label_as: Literal["class", "number"] = "class"
    """layout images and attributes: what a label means. `class`: the name of a class; `number`: a number, such as an age, an angle or a
    thickness, which an image is drawn by (`train.condition: number`). An image without one goes to quarantine."""
    bins: Annotated[tuple[float, ...], Field(strict=False)] | None = None
    """layout images and attributes: labels are numbers, and these part them into classes in order: [0, 20, 40, 60] makes the classes
    `0-20`, `20-40` and `40-60`, each from its first number up to, but not with, its last; the last class has its last as well."""
    group: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    """Files: which belong together, such as views of one object or pictures of one person, so that all are held out or none: a regular
    expression (Python's) that is looked for in a file's path. What its parentheses hold, joined, or all that it finds, names the group, as
    'chair_([0-9]+)_' for chair_182_7.mat. A file in which it is not found stands for itself. In layout attributes the one image of a group
    with a label is what the others are to become with that label (`partner_ratio`)."""
    rate: Annotated[int, Field(ge=1_000, le=48_000)] = 16_000
    """Sounds: values a second; files of another rate are resampled. The highest pitch is half of it."""
    seconds: Annotated[float, Field(ge=0.1, le=16)] = 1.0
    """Sounds: how long each is. Silence follows a shorter one."""
    longer: Literal["cut", "refuse"] = "cut"
    """Sounds: what becomes of a longer one. `cut`: its beginning is kept, and fades out; `refuse`: it goes to quarantine."""
    bands: Literal[16, 32, 64, 128] = 64
    """Sounds: how many bands of pitch a network sees every 16 ms; more cost more, and tell more pitches apart."""
    text: Annotated[str, Field(min_length=1)] | None = None
    """Sentences: the column, or in JSON lines the key, that holds them. None: the only one that does."""
    length: Annotated[int, Field(ge=4, le=64)] = 32
    """Sentences: words and marks of each, at most; longer ones go to quarantine."""
    words: Annotated[int, Field(ge=10, le=20_000)] = 5_000
    """Sentences: words and marks that are told apart, the most frequent of those to train on; all others are one unknown word, which is
    learned and never drawn. Time and memory grow with it."""
    corruption: Corruption | None = None
    """Pairs from images, for restoration: a generator is given the image with a hole (`mask`), four times coarser (`downsample`), with
    noise of deviation 25 (`noise`), or without colour (`grey`). A function of content and seed."""
    stack: bool = False
    """Images with labels: each sample is three of them, in grey, as its colour channels, and its class their combination. It shows how
    many of known modes a generator finds: 1,000, with MNIST (Metz et al., 2017). A function of content and seed."""
    count: Annotated[int, Field(ge=10, le=10_000_000)] = 1_000
    """Points: how many are drawn."""
    radius: Annotated[float, Field(gt=0)] = 2.0
    """Points: radius of `circle` and `ring`; half the side of `grid`'s 5 x 5 means is 2 * radius."""
    sigma: Annotated[float, Field(ge=0)] | None = None
    """Points: standard deviation around the circle or the means; None is 0 for `circle`, 0.02 for `ring`, 0.05 for `grid`."""
    label: Annotated[Annotated[str, Field(min_length=1)] | tuple[str, ...] | None, BeforeValidator(_as_labels)] = None
    """Tables: the column that rows are drawn by, or several, as [churned, plan]; one of numbers is drawn with the rest of its row. None:
    there is none. labels in a file that says several things of an image: the column, or the key, that holds its class; None: the first that
    is called label, class, class_name, category, target or y."""
    columns: Mapping[str, str] = Field(default_factory=dict)
    """Tables: what a column is, by its name: `number`, `date` (also with its format, as `date %d/%m/%Y`), `boolean`, `category`, `drop`,
    or one that is not learned but invented: `id`, `email`, `phone`, `name`. Of others its cells tell; `validate` shows what they are, as
    text that can stand here."""
    categorical: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Tables: columns of categories, as `columns` may say too."""
    drop: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Tables: columns to leave out, as `columns` may say too."""
    rules: Annotated[tuple[Any, ...], Field(strict=False)] = ()
    """Tables: what holds in every row, of the data and of what is generated: `start <= end`, `total = price + shipping`,
    `combinations: [city, country]` (only those that occur), `unique: [customer]`."""
    key: Annotated[str, Field(min_length=1)] | None = None
    """Tables: the column that names each row, where `children` belong to them. No two are equal; new ones are drawn, as of kind `id`."""
    children: ChildrenParams | None = None
    """Tables: a second one, whose rows belong to those of the first."""
    missing: Annotated[tuple[str, ...], Field(strict=False)] = MISSING
    """Tables: texts that stand for a missing cell, beside an empty one."""
    decimal: Literal[".", ","] | None = None
    """Tables: the mark before the decimals of numbers; None: as they show, a mark with always three digits behind it parting thousands."""
    modes: Annotated[int, Field(ge=1, le=10)] = 3
    """Tables: most normal distributions that a column of numbers is described by; 1 for columns with a single peak."""
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the samples that training never sees; a function of content and seed, so equal files stay on one side."""
    selection: Annotated[float | int | None, BeforeValidator(_is_part)] = None
    """What of the rest is kept for choosing among the snapshots of a training (`train.select: best`), and neither trained on nor looked at
    by what decides between two versions: a share of all samples, or how many. A function of content and seed, too."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seed of drawn points and tables, of the held-out split, of `corruption` and of `stack`."""

    @field_validator("source")
    @classmethod
    def _known_source(cls, source: str) -> str:
        check_address(source)
        return source

    @field_validator("layout", mode="before")
    @classmethod
    def _known_layout(cls, layout: Any) -> Any:
        *others, last = [known for name in kinds.KINDS for known in kinds.of(name).layouts]
        if layout not in (*others, last):
            expected = f"{', '.join(map(repr, others))} or {last!r}"
            raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})
        return layout

    @field_validator("range", mode="before")
    @classmethod
    def _two_numbers(cls, given: Any) -> Any:
        numbers = given if isinstance(given, list | tuple) else ()
        if given in ("type", "data"):
            return given
        if len(numbers) != 2 or any(isinstance(one, bool) or not isinstance(one, int | float) for one in numbers):
            raise ValueError(f"{str(given)[:80]!r} is no range; write type, data, or two numbers, such as [0, 4095]")
        low, high = map(float, numbers)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"[{low:g}, {high:g}] is no range: the first number is black and the second white; write the lower one first")
        return low, high

    @field_validator("folders")
    @classmethod
    def _plain_names(cls, folders: tuple[str, str]) -> tuple[str, str]:
        for name in folders:
            if name == "" or name.startswith(".") or set(name) & set("/\\\0"):
                raise ValueError(f"{name[:80]!r} is not the name of a folder in the source; write a plain name, such as trainA")
        if folders[0] == folders[1]:
            raise ValueError(f"{folders[0]!r} stands there twice; name two folders")
        return folders

    @field_validator("group", "label_pattern")
    @classmethod
    def _is_pattern(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{str(pattern)[:80]!r} is no regular expression: {error}") from None
        return pattern

    @field_validator("bins")
    @classmethod
    def _rising(cls, bins: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if bins is not None and (len(bins) < 3 or not all(map(math.isfinite, bins)) or any(a >= b for a, b in pairwise(bins))):
            raise ValueError(f"{list(bins)} are no bins; write three numbers or more, each larger than the one before, such as [0, 20, 40]")
        return bins

    @field_validator("captions")
    @classmethod
    def _known_captions(cls, captions: str) -> str:
        return _inside(captions, "captions.csv")

    @field_validator("labels")
    @classmethod
    def _known_labels(cls, labels: str) -> str:
        if labels in NO_LABEL_FILE:
            return labels
        if "." not in labels:
            near = difflib.get_close_matches(labels.lower(), NO_LABEL_FILE, n=1)
            hint = f"did you mean {near[0]}?" if near else f"write {' or '.join(NO_LABEL_FILE)}, or a file's name"
            raise ValueError(f"{labels[:80]!r} is no file such as labels.csv, and neither {' nor '.join(NO_LABEL_FILE)}; {hint}")
        return _inside(labels, "labels.csv")

    @field_validator("columns")
    @classmethod
    def _known_kinds(cls, columns: Mapping[str, str]) -> Mapping[str, str]:
        for name, text in columns.items():
            try:
                Asked.of(text)
            except ValueError as error:
                raise ValueError(f"{name[:80]}: {error}") from None
        return columns

    @field_validator("rules")
    @classmethod
    def _rules_hold_together(cls, rules: tuple[Any, ...]) -> tuple[Any, ...]:
        if problem := contradiction([Rule.of(rule) for rule in rules]):
            raise ValueError(problem)
        return rules

    @model_validator(mode="after")
    def _keys_fit_source(self) -> Self:
        given, own = self.model_fields_set, kinds.of(self.kind).keys
        for one in map(kinds.of, kinds.KINDS):
            if wrong := given & one.keys - own:
                raise ValueError(f"{', '.join(sorted(wrong))}: only for {one.family}, and {self.source} has none{one.chosen_by}")
        if "root" in given and self.scheme != "torchvision":
            raise ValueError(f"root: only for torchvision://, not {self.source}")
        if self.layout != "images" and self.scheme != "folder" and not is_url(self.scheme):
            hint = "; text:// takes the sentences of one file" if self.layout == "sentences" else ""
            raise ValueError(f"layout: only for folders, archives and buckets of images, not {self.source}{hint}")
        if "group" in given and self.scheme != "folder" and not is_url(self.scheme):
            raise ValueError(f"group: only for folders, archives and buckets, whose files have names, not {self.source}")
        if self.layout == "volumes" and not isinstance(self.size, int | None):
            raise ValueError(f"size: volumes are cubes; write one number of voxels, not {list(self.size)}")
        if self.layout == "volumes" and self.side > MOST_VOXELS:
            raise ValueError(f"size: volumes have at most {MOST_VOXELS} voxels along each side, not {self.size}; lower it")
        if self.given is not None and self.given >= self.frames:
            raise ValueError(f"given: {self.given} of {self.frames} frames leave none to predict; lower it, or raise frames")
        if self.layout == "frame-folders" and self.labels not in NO_LABELS_OF_FILES:
            raise ValueError(
                f"labels: clips of layout frame-folders have folders as their classes, or none; {self.labels} says it of files"
            )
        if "captions" in given and self.layout != "captions":
            raise ValueError("captions: only with layout: captions")
        unlabelled = self.scheme == "arrays" and self.labels in NO_LABELS_OF_FILES
        has_files = self.scheme == "folder" or is_url(self.scheme) or unlabelled
        if "labels" in given and (self.layout not in LABELLED_LAYOUTS or not has_files):
            other = self.source if self.layout in LABELLED_LAYOUTS else f"layout {self.layout}"
            raise ValueError(f"labels: only for folders, archives and buckets in layout {' or '.join(LABELLED_LAYOUTS)}, not {other}")
        if self.layout == "attributes" and self.labels == "none":
            raise ValueError("labels: none, and layout attributes translates between labels; leave it out, or name a file that says them")
        if self.labels == "names" and self.label_pattern is None:
            raise ValueError("labels: names, and nothing says what of a name is the class; give label_pattern, such as '_([0-9]+)[.]'")
        for key, said_of in (("label", self.annotations), ("label_pattern", self.annotations or self.labels == "names")):
            if getattr(self, key) is not None and not is_table(self.source) and (not said_of or self.layout == "captions"):
                raise ValueError(f"{key}: says what of a file of labels counts; name the file in labels, such as metadata.jsonl")
        if isinstance(self.label, tuple) and not is_table(self.source):
            raise ValueError(f"label: several columns are for tables, and {self.source} is none; name the one that holds the class")
        for key in ("label_as", "bins"):
            if key in given and (self.layout not in ("images", "attributes") or self.corruption is not None or self.labels == "none"):
                raise ValueError(f"{key}: says what labels of images mean, and there are none here; leave it out")
        if self.bins is not None and self.label_as == "number":
            raise ValueError("bins: makes classes of numbers, and label_as is number, which takes them as they are; leave one of them out")
        if self.stack and self.label_as == "number":
            raise ValueError("stack: combines classes, and label_as: number makes none; leave one of them out")
        if "folders" in given and self.layout not in FOLDER_LAYOUTS:
            raise ValueError(f"folders: only with layout {' or '.join(FOLDER_LAYOUTS)}, not {self.layout}")
        if "direction" in given and self.layout in (*LABELLED_LAYOUTS, "captions"):
            raise ValueError(f"direction: layout {self.layout} has none; set a layout of two kinds of images, or leave it out")
        return self

    def of_kind(self) -> dict[str, Any]:
        """The section with its defaults, without what only other kinds of data or layouts have, and without what is left open."""
        own = kinds.of(self.kind).keys
        others = {key for one in kinds.KINDS for key in kinds.of(one).keys} - own
        others |= {"root"} if self.scheme != "torchvision" else set()
        others |= {"folders"} if self.layout not in FOLDER_LAYOUTS else set()
        others |= {"direction"} if self.layout in (*LABELLED_LAYOUTS, "captions") else set()
        others |= {"captions"} if self.layout != "captions" else set()
        others |= {"crops"} if self.fit != "random-crop" else set()
        others |= {"depth"} if self.depth == 8 else set()
        others |= {"label_as"} if self.label_as == "class" else set()
        return {key: value for key, value in self.model_dump().items() if key not in others and value is not None}

    @model_validator(mode="after")
    def _something_is_left(self) -> Self:
        if self.selection is not None and self.selection < 1 <= self.holdout + self.selection:
            raise ValueError(
                f"selection: {self.selection:g} beside a holdout of {self.holdout:g} leaves nothing to train on; lower one of them"
            )
        return self

    @model_validator(mode="after")
    def _columns_fit(self) -> Self:
        for key in ("categorical", "drop"):
            if found := [name for name in self.label_columns if name in getattr(self, key)]:
                raise ValueError(f"{key}: {found[0]} is the label already")
        if both := sorted({*self.categorical} & {*self.drop}):
            raise ValueError(f"drop: {', '.join(both)} stands in categorical too; take it out of one of them")
        for key, kind in (("categorical", "category"), ("drop", "drop")):
            for name in getattr(self, key):
                if (other := self.columns.get(name, kind)) != kind:
                    raise ValueError(f"{key}: {name} is {other} in columns; take it out of one of them")
        if (self.key is None) != (self.children is None):
            raise ValueError(
                "key: names the rows that children belong to, and there is no `children`; say which table they are in, or leave it out"
                if self.children is None
                else "children: belong to rows that a column names; say which in data.key"
            )
        if self.key is not None and (self.key in self.label_columns or self.asked_columns.get(self.key, Asked("id")).kind != "id"):
            raise ValueError(f"key: {self.key} is drawn anew, as an id, and stands elsewhere as another thing; take it out there")
        for rule, name in names_in(self.table_rules):
            if name in self.label_columns and self.columns.get(name) != "number":
                raise ValueError(f"rules: {rule}: {name} is the label, which is drawn before the row; take it out of the rule")
        for name in self.label_columns:
            if (kind := self.columns.get(name, "category")) not in ("category", "boolean", "number"):
                raise ValueError(
                    f"columns: {name} is the label, whose values are categories or numbers, and not {kind}; take it out of one of them"
                )
        return self

    @model_validator(mode="after")
    def _corruption_fits(self) -> Self:
        if self.corruption is not None and self.layout != "images":
            raise ValueError(f"corruption: makes pairs of plain images, and layout {self.layout} has others; leave one of them out")
        if self.stack and (self.layout != "images" or self.corruption is not None):
            raise ValueError("stack: puts plain images on top of each other; leave out layout and corruption")
        if self.stack and self.channels == 3:
            raise ValueError("stack: takes grey images, one a colour channel; leave channels out")
        if self.corruption == "grey" and self.channels == 1:
            raise ValueError("corruption: grey takes the colour from images, and channels: 1 leaves none; leave channels out")
        if self.corruption == "downsample" and self.sides is not None and any(side % 4 for side in self.sides):
            nearest = sides_in_words(nearest_sides(self.sides, lambda other: not any(side % 4 for side in other)))
            raise ValueError(
                f"corruption: downsample makes images four times smaller, and size {sides_in_words(self.sides)} is no multiple of 4; the "
                f"nearest is {nearest}"
            )
        return self

    @model_validator(mode="after")
    def _crops_fit(self) -> Self:
        if self.fit != "random-crop":
            if "crops" in self.model_fields_set:
                raise ValueError(f"crops: only with fit: random-crop, and fit is {self.fit}")
        elif self.layout in CLIP_LAYOUTS:
            raise ValueError("fit: random-crop takes parts of pictures, and clips are shown whole; use crop, pad or stretch")
        elif self.layout == "captions":
            raise ValueError("fit: random-crop shows parts of a picture, and a caption says what the whole shows; use crop, pad or stretch")
        elif self.scheme != "folder" and not is_url(self.scheme):
            raise ValueError(f"fit: random-crop takes parts of large files, and {self.source} has none; use crop, pad or stretch")
        return self

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        plain = self.depth == 8 and self.channels in (None, 1, 3)
        for key, is_set in (("corruption", self.corruption is not None), ("stack", self.stack)):
            if is_set and not plain:
                raise ValueError(f"{key}: is for images of 8 bits in grey or RGB; leave it out, or channels and depth")
        if not plain and self.scheme in ("sklearn", "torchvision"):
            raise ValueError(f"{'depth' if self.depth != 8 else 'channels'}: {self.source} has grey images of 8 bits; leave it out")
        if not plain and self.kind == "clips":
            raise ValueError("channels: clips are grey (1) or RGB (3); write one of the two, or leave it out")
        if self.depth == "float" and self.range == "type":
            raise ValueError("depth: float keeps values as files have them, whose type says nothing of black and white; set range too")
        if self.depth == 16 and not isinstance(self.range, str) and not 0 <= self.range[0] < self.range[1] <= 65_535:
            raise ValueError(f"range: {list(self.range)} is not within 0 to 65,535, which depth: 16 keeps; change it, or set depth: float")
        if self.show is not None:
            if len(self.show) not in (1, 3):
                raise ValueError(f"show: {list(self.show)} names {len(self.show)} channels; name three, or one for a grey picture")
            if self.channels is None or max(self.show) > self.channels:
                many = "channels is not set" if self.channels is None else f"there are {self.channels}"
                raise ValueError(f"show: names channel {max(self.show)}, and {many}; change one of the two")
        return self

    @property
    def sides(self) -> Sides | None:
        """Images, clips: height and width after validation, as far as they are known before."""
        if self.asked_sides is None and self.has_images and (self.scheme == "folder" or is_url(self.scheme)):
            return DEFAULT_SIZE, DEFAULT_SIZE
        return self.asked_sides

    @property
    def asked_sides(self) -> Sides | None:
        """`size` as height and width."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @property
    def kind(self) -> Kind:
        """What a training gets to see of the source."""
        return next(name for name in kinds.KINDS if kinds.of(name).is_in(self))

    @property
    def has_images(self) -> bool:
        """Whether the source holds images, however they are laid out."""
        is_other = self.has_rows or self.has_sentences or self.scheme == "points"
        return not is_other and self.layout not in ("sounds", "volumes")

    @property
    def has_sentences(self) -> bool:
        """Whether what is taken from the source is sentences."""
        return self.layout == "sentences" or is_text(self.source)

    @property
    def has_rows(self) -> bool:
        """Whether the source is a table whose rows are taken."""
        return is_table(self.source) and not self.has_sentences

    @property
    def values(self) -> int:
        """Sounds: how many values each has."""
        return round(self.seconds * self.rate)

    @property
    def side(self) -> int:
        """Volumes: voxels along each side."""
        return self.size if isinstance(self.size, int) else 32

    @property
    def table_rules(self) -> tuple[Rule, ...]:
        """`rules`, read."""
        return tuple(map(Rule.of, self.rules))

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns, or the one, that `label` names."""
        return self.label if isinstance(self.label, tuple) else () if self.label is None else (self.label,)

    @property
    def label_key(self) -> str | None:
        """What `label` names in a file of labels."""
        return next(iter(self.label_columns), None)

    @property
    def asked_columns(self) -> dict[str, Asked]:
        """Tables: what the entry says of columns, the label's among them, by name."""
        kinds: dict[str, str] = {**dict.fromkeys(self.drop, "drop"), **dict.fromkeys(self.categorical, "category")}
        kinds |= dict.fromkeys(self.label_columns, "category")
        return {name: Asked.of(text) for name, text in {**kinds, **self.columns}.items()}

    def key_of(self, column: str) -> str:
        """The key that says something of a column, as messages name it."""
        if column in self.label_columns:
            return "data.label"
        keys = ("columns", "categorical", "drop")
        return next((f"data.{key}" for key in keys if column in getattr(self, key)), "data")

    @property
    def file_name(self) -> str:
        """What messages call a source that is a single file."""
        return PurePosixPath(without_query(self.location)).name or self.source

    @property
    def table_name(self) -> str:
        """What a table is called, by its file."""
        return PurePosixPath(self.file_name).stem

    @property
    def children_name(self) -> str:
        """What the children are called."""
        assert self.children is not None, "only where there are children"  # noqa: S101
        return self.children.name or self.of_children.table_name

    @property
    def rules_of_both(self) -> tuple[Rule, ...]:
        """`rules` that name columns of children, as `orders.day`."""
        if self.children is None:
            return ()
        prefix = f"{self.children_name}."
        return tuple(rule for rule in self.table_rules if any(name.startswith(prefix) for name in rule.columns))

    @property
    def of_parents(self) -> DataParams:
        """What is said of the table that has children, alone."""
        assert self.key is not None, "only where there are children"  # noqa: S101
        rules = tuple(rule for rule in self.rules if Rule.of(rule) not in self.rules_of_both)
        return self.model_copy(update={"children": None, "key": None, "columns": {**self.columns, self.key: "id"}, "rules": rules})

    @property
    def of_children(self) -> DataParams:
        """What is said of the children's table, as of one alone, in which the key is nothing to learn."""
        assert self.children is not None, "only where there are children"  # noqa: S101
        asked = self.children
        return DataParams(
            source=asked.source,
            columns={**asked.columns, asked.key: "drop"},
            categorical=asked.categorical,
            drop=asked.drop,
            missing=self.missing,
            decimal=self.decimal,
            seed=self.seed,
        )

    @property
    def annotations(self) -> str | None:
        """The file in the source that says something of its images, captions or labels."""
        if self.layout == "captions":
            return self.captions
        return self.labels if self.layout in LABELLED_LAYOUTS and self.labels not in NO_LABEL_FILE else None

    @property
    def folders_are_classes(self) -> bool:
        """Whether the first folder of a file's path, or of the path of a folder of frames, is its class."""
        is_place = (self.scheme == "folder" or is_url(self.scheme)) and not is_table(self.source)
        return is_place and self.layout in LABELLED_LAYOUTS and self.labels == "folders"

    @property
    def given_half(self) -> int:
        """Of two halves or folders, A and B, which one a generator is given: 0 or 1."""
        return 0 if self.direction == "a-to-b" else 1

    @property
    def domains(self) -> tuple[str, str]:
        """Of a layout, the folder of what a generator is given, and the folder of what it is to make."""
        first, second = self.folders
        return (first, second) if self.direction == "a-to-b" else (second, first)

    @property
    def scheme(self) -> str:
        return self.source.partition("://")[0]

    @property
    def location(self) -> str:
        """What follows `scheme://`."""
        return self.source.partition("://")[2]


def _inside(path: str, example: str) -> str:
    """The path of a file inside the source's folder.

    Raises:
        ValueError: it is none.
    """
    if not path.strip() or path.startswith(("/", "~")) or ".." in path.split("/") or set(path) & set("\0\\$"):
        raise ValueError(f"{path[:80]!r} is no file inside the source's folder; write a path relative to it, such as {example}")
    return posixpath.normpath(path)


class ValidateParams(Strict):
    """What a sample and a data set must be like. Samples that are not go to quarantine; a bad data set stops the run."""

    max_quarantined: Probability = 0.01
    """Share of quarantined samples above which the stage fails."""
    min_samples: Annotated[int, Field(ge=2)] = 100
    """Fewest good samples to go on with."""
    min_side: Annotated[int, Field(ge=1)] = 4
    """Images, and frames, smaller than this on either side are quarantined."""
    max_side: Annotated[int, Field(ge=1, le=65_535)] = 16_384
    """Images, frames and strips of them larger than this on either side are quarantined, before they are decoded."""
    min_std: Annotated[float, Field(ge=0)] = 0.5
    """Images, and clips, whose pixels (0 to 255) vary less than this are quarantined as blank."""
    max_seconds: Annotated[float, Field(gt=0, le=36_000)] = 600.0
    """Sounds longer than this are quarantined, before they are decoded."""
    min_level: Annotated[float, Field(gt=0, lt=1)] = 0.001
    """Sounds whose loudest tenth of a second has a root mean square below this, of full scale 1, are quarantined as silent."""
    max_voxels: Annotated[int, Field(ge=8, le=2**30)] = 2**24
    """Files of more voxels than this (2**24: 256 along each side) are quarantined, before they are decoded."""
    max_frames: Annotated[int, Field(ge=2, le=1_000_000)] = 10_000
    """Clips: files of more frames than this are quarantined, before they are decoded."""
    min_per_class: Annotated[int, Field(ge=1)] = 2
    """Fewest good samples of each class."""
    near_twins: Literal["warn", "together", "off"] = "warn"
    """Images, or clips, that are nearly the same, as re-encoded uploads and neighbouring frames: it is said where held-out ones have them
    in training; or they are kept on one side of the split, which may move a few when images are added; or they are not looked for."""
    drift: Literal["warn", "block", "off"] = "warn"
    """What happens where the data differs from that which the champion was trained on: it is said, or the run is stopped."""
    drift_shift: Annotated[float, Field(gt=0)] = 0.25
    """By how many standard deviations brightness, contrast, a sound's length, what is filled of a volume, how much a clip moves, or a
    column may change, and the samples as a whole in feature space."""
    drift_share: Annotated[float, Field(gt=1)] = 1.5
    """By which factor a class may become more or less frequent beside the others."""


class EvaluateParams(Strict):
    """How a generator is scored on the held-out data."""

    features: Literal["auto", "classifier", "random", "segmentation", Pretrained] = "auto"
    """`auto`: a classifier fitted on the labels where there are any, a fixed random convolutional network otherwise, for pairs, and where
    labels are numbers, which a regressor beside it reads.
    `inception`: the network that published distances are measured by, whose weights are downloaded at the first use; `dinov2-vit-l-14`:
    the one of FD-DINOv2, of which `-s-` and `-b-` are smaller; `clip-vit-b-32`: the one of CLIP's distances.
    `segmentation`, for pairs whose input is a label map: a network that finds the labels in real images, and then in generated ones."""
    features_seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """What features are fitted from. They stay as they are until this changes, or the data do not fit them; then the champion is scored
    again with the new ones. Not `seed`: drawing other samples must not change what they are measured with."""
    samples: Annotated[int, Field(ge=10, le=1_000_000)] = 10_000
    """At most this many generated, and this many real, samples are compared."""
    fid_infinity: bool = False
    """Images: `fid_infinity` as well, the distance extrapolated to endlessly many generated samples."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


class RegisterParams(Strict):
    """When a new version becomes the champion."""

    improve: str | None = None
    """The metric that decides, alone. None: `fid` for images, sounds, volumes and clips, or `kid` where they are too few for it,
    `whitened_kid` for images and pairs by random features, `radius_error` or `high_quality` for points, `detection` for tables,
    `ngram_distance` for sentences; together with `label_accuracy`, `label_error`, `caption_recall`, `partner_recall`, `reverse_kl`,
    `iou_nna`, `motion_distance`, `translated` and `input_recall`, `partner_ratio`, or `correlation_distance` and `utility`, or `detection`
    for sentences, where there are any: a challenger has to be better by one of these, and worse by none."""
    require: dict[str, str] = Field(default_factory=dict)
    """Floors that veto, as `recall: ">= 0.4"`. Where they are not named, `copies: "<= 0.05"` holds, and for tables
    `membership: "<= 0.1"` and `class_membership: "<= 0.1"`; they veto what chance does not explain. Of a first version `recall: "> 0"`,
    from 60 held-out samples on."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """The middle share of the resamples that has to lie on the better side; at 0.95, 97.5 % of all do then."""
    looks: Annotated[int, Field(ge=1, le=100_000)] = 1
    """How many decisions share the risk that `confidence` leaves (Bonferroni): with 365 a year of nightly retrainings that make nothing
    better moves the champion with a probability of at most 2.5 %, at 0.95; with 1 it is 2.5 % at each."""
    served: bool = False
    """Whether a version also has to draw known samples over HTTP, from `mlflow models serve`, before it becomes the champion."""
    replicates: Annotated[int, Field(ge=100, le=100_000)] = 1_000
    """How many resamples the comparison draws."""

    @model_validator(mode="after")
    def _enough_replicates(self) -> Self:
        needed = fewest_replicates(self.confidence_of_one)
        if self.replicates < needed:
            each = f", which {self.looks} looks share" if self.looks > 1 else ""
            raise ValueError(
                f"replicates: {self.replicates} are too few to tell a confidence of {self.confidence}{each}; at least {needed}"
            )
        return self

    @property
    def confidence_of_one(self) -> float:
        """The confidence that each of `looks` decisions takes, so that all together have `confidence`."""
        return 1 - (1 - self.confidence) / self.looks

    @field_validator("improve")
    @classmethod
    def _known(cls, improve: str | None) -> str | None:
        if improve is not None:
            _check_metric(improve)
            if improve in FLOOR_ONLY:
                raise ValueError(f'{improve} compares no two generators; set a floor by require: {{{improve}: "<= 0.01"}}')
        return improve

    @field_validator("require")
    @classmethod
    def _conditions(cls, require: dict[str, str]) -> dict[str, str]:
        for metric, condition in require.items():
            _check_metric(metric)
            if not re.fullmatch(r"(>=|<=|>|<)\s*-?\d+(\.\d+)?([eE]-?\d+)?", condition.strip()):
                raise ValueError(f'{metric}: {condition!r} is no condition; write it as ">= 0.4", with >=, <=, > or <')
        return require


def _check_metric(metric: str) -> None:
    if metric not in BETTER:
        near = difflib.get_close_matches(metric, BETTER, n=1)
        raise ValueError(f"{metric!r} is no metric" + (f"; did you mean {near[0]}?" if near else f"; there are {', '.join(BETTER)}"))


class Entry(Strict):
    """One generator of params.yaml."""

    data: DataParams
    validation: ValidateParams = Field(alias="validate")
    train: AnyRecipe
    evaluation: EvaluateParams = Field(alias="evaluate")
    registration: RegisterParams = Field(alias="register")
    schedule: str | None = None
    """A cron expression of five fields, or `@daily` and its like, as Prefect reads it; None: only on demand."""
    timezone: str | None = None
    """The time zone of `schedule` by its IANA name, such as Europe/Berlin; None: that of the machine that schedules."""

    @field_validator("schedule", "timezone")
    @classmethod
    def _is_known(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None:
            check = cron.check if info.field_name == "schedule" else cron.check_zone
            check(value)
        return value

    @model_validator(mode="after")
    def _zone_has_a_schedule(self) -> Self:
        if self.timezone is not None and self.schedule is None:
            raise ValueError("timezone: says when a schedule is due, and there is none; write `schedule`, or leave it out")
        return self

    @model_validator(mode="after")
    def _sections_fit(self) -> Self:
        sections = {"train": self.train, **{f"train.{key}": value for key, value in self.train}}
        if lost := [key for above, one in sections.items() if isinstance(one, BaseModel) for key in keys_lost(type(one), above)]:
            raise ValueError(
                f"train.recipe: {', '.join(dict.fromkeys(lost))}: DVC's run-cache loses keys of this name; name them otherwise"
            )
        if self.data.kind not in self.train.kinds:
            raise ValueError(
                f"train.recipe: {self.train.recipe} takes {' or '.join(self.train.kinds)}, and {self.data.source} has {self.data.kind}"
                + (f"; {hint}" if (hint := kinds.of(self.train.kinds[0]).hint) else "")
            )
        given, own = self.validation.model_fields_set, kinds.of(self.data.kind).limits
        for one in map(kinds.of, kinds.KINDS):
            if wrong := given & one.limits - own:
                keys = ", ".join(f"validate.{key}" for key in sorted(wrong))
                raise ValueError(f"{keys}: only for {one.family}, and {self.data.source} has none; take it out")
        condition = getattr(self.train, "condition", "none")
        if self.data.labels == "none" and condition == "label":
            raise ValueError("train.condition: label, and data.labels: none leaves no labels; change one of the two")
        if condition != "none" and (condition == "number") != (self.data.label_as == "number"):
            say = "set data.label_as: number, so that labels are numbers" if condition == "number" else "set condition: number"
            raise ValueError(f"train.condition: {condition}, and data.label_as is {self.data.label_as}; {say}")
        if getattr(self.train, "balance", 0.0) and all(self.data.columns.get(label) == "number" for label in self.data.label_columns):
            lacking = "data.label is of numbers" if self.data.label_columns else "there is no data.label"
            raise ValueError(f"train.balance: shows rows of rare classes more often, and {lacking}; name one of classes, or leave it out")
        if self.data.children is not None and not getattr(getattr(self.train, "generator", None), "has_likelihood", False):
            raise ValueError(
                "train.generator: rows with children are drawn by `network: autoregressive`, since how many there are must be known before "
                "them; write generator: {network: autoregressive}"
            )
        if self.train.select == "best" and self.data.selection is None:
            raise ValueError(
                "train.select: best scores snapshots on a part of the data that is kept for it, and data.selection is not set; "
                "write a share, such as 0.1, or how many samples"
            )
        for problem in self.train.problems(self.data.kind, self.data.sides):
            raise ValueError(problem)
        if self.train.compile == "on" and (why := self.train.uncompiled(self.data.kind)):
            raise ValueError(f"train.compile: on, and {why}; write off, or auto, which compiles what can be")
        return self


LOST_BY_DVC = ("size", "nfiles")
"""Names of keys that DVC's run-cache leaves out when it compares a run with former ones (3.67; treeverse/dvc #10296).

dvc.yaml keeps every stage out of it but train. There no recipe may have such a key: a training with another value of it would be taken
for the former one.
"""


def keys_lost(model: type[BaseModel], above: str = "train") -> Iterator[str]:
    """The keys of a section, however deep, that DVC's run-cache would lose."""
    for key, field in zip(_allowed_keys(model), model.model_fields.values(), strict=True):
        if key in LOST_BY_DVC:
            yield f"{above}.{key}"
        for section in _models_in(field.annotation):
            yield from keys_lost(section, f"{above}.{key}")


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections that a key may hold: `Section | None` is one too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for one in get_args(annotation):
        yield from _models_in(one)


def _allowed_keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _section_model(model: type[BaseModel], keys: tuple[int | str, ...], section: Any) -> type[BaseModel] | None:
    """The model that `keys` lead to from `model`, whose section this is, or None where they leave the sections."""
    for key in keys:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if str(key) not in fields:
            return None
        field, section = fields[str(key)], section.get(key) if isinstance(section, Mapping) else None
        readers = [one.func for one in field.metadata if isinstance(one, BeforeValidator) and isinstance(one.func, OneOf)]
        found = readers[0].chosen(section) if readers and isinstance(section, Mapping) else next(_models_in(field.annotation), None)
        if found is None:
            return None
        model = found
    return model


def _explain(name: str, error: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    """One pydantic error as a line: the key, what is wrong with it, what to write."""
    location = ".".join(["generators", name, *map(str, error["loc"])])
    kind, keys = error["type"], error["loc"]
    if kind == "extra_forbidden":
        section = _section_model(Entry, keys[:-1], entry)
        allowed = _allowed_keys(section) if section else []
        near = difflib.get_close_matches(str(keys[-1]), allowed, n=1)
        return f"{location}: unknown key" + (f"; did you mean {near[0]}?" if near else f"; allowed: {', '.join(allowed)}")
    if kind == "missing":
        empty_will_do = len(keys) == 1 and str(keys[0]) in ("validate", "evaluate", "register")
        return f"{location}: missing" + (f"; write `{keys[0]}: {{}}` for the defaults" if empty_will_do else "")
    if kind == "literal_error":
        return f"{location}: {error['input']!r} is not allowed; {error['msg'].removeprefix('Input should be ')} is"
    if kind == "string_type" and isinstance(error["input"], bool | int | float | date):
        return (
            f"{location}: text is expected, and YAML reads {str(error['input'])[:80]} as a {_kind_of(error['input'])}; write it in quotes"
        )
    message = error["msg"].removeprefix("Value error, ")
    shown = "" if kind == "value_error" else f" (got {str(error['input'])[:80]!r})"
    return f"{location}: {message}{shown}"


def _kind_of(value: Any) -> str:
    return "yes or no" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "date"


@dataclass(frozen=True)
class Read:
    """params.yaml, as far as it is right."""

    entries: Mapping[str, Entry]
    """Those that are right, by name."""
    wrong: Mapping[str, Sequence[str]]
    """What is wrong with the others, a line each, by name."""
    stray: Sequence[str] = ()
    """What stands there that is no entry, a line each."""

    @property
    def problems(self) -> list[str]:
        """All that is wrong, a line each."""
        return [*self.stray, *(line for lines in self.wrong.values() for line in lines)]


def _read(document: Any, where: str) -> Read:
    """Raises `ConfigError` where it is not one entry that is wrong, but the whole."""
    if not isinstance(document, dict) or not isinstance(document.get("generators"), dict):
        raise ConfigError(f"{where}: expected a mapping `generators:` with an entry a generator")
    stray = [f"{where}: {key}: unknown key; everything stands below generators" for key in document if key != "generators"]
    entries: dict[str, Entry] = {}
    wrong: dict[str, list[str]] = {}
    for name, section in document["generators"].items():
        try:
            entries[name] = _entry(name, section)
        except _WrongError as error:
            wrong[str(name)] = [f"{where}: {problem}" for problem in error.args]
    return Read(entries, wrong, stray)


class _WrongError(Exception):
    """What is wrong with an entry, an argument for each line."""


def _entry(name: Any, section: Any) -> Entry:
    if not isinstance(name, str):
        raise _WrongError(f"generators.{name}: YAML reads this name as a number or another value, not as text; write it in quotes")
    if not NAME.fullmatch(name):
        raise _WrongError(f"generators.{name[:80]}: a name has 1 to 63 of a-z, 0-9, - and _, and starts with a letter or digit")
    if not isinstance(section, dict):
        raise _WrongError(f"generators.{name}: expected a mapping with {', '.join(_allowed_keys(Entry))}")
    try:
        return Entry.model_validate(section)
    except ValidationError as error:
        raise _WrongError(*(_explain(name, one, section) for one in error.errors(include_url=False))) from None


def parse(document: Any, where: str = "params.yaml") -> dict[str, Entry]:
    """Entries by name from the parsed YAML of params.yaml.

    Raises:
        ConfigError: naming every wrong key of every entry.
    """
    return _all_right(_read(document, where))


def _all_right(found: Read) -> dict[str, Entry]:
    if problems := found.problems:
        raise ConfigError("\n".join(problems))
    return dict(found.entries)


def load(workspace: Path) -> dict[str, Entry]:
    """Every entry of `workspace`/params.yaml by name.

    Raises:
        ConfigError: the file is missing, is not YAML, or holds something that the schema refuses.
    """
    return _all_right(read(workspace))


def read(workspace: Path) -> Read:
    """`workspace`/params.yaml, where a wrong entry leaves the others as they are.

    Raises:
        ConfigError: the file as a whole cannot be read.
    """
    path = workspace / "params.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: not there; run in a workspace, or make one with `gantry init DIR`") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    return _read(_document(text, str(path)), str(path))


def parse_text(text: str, where: str = "params.yaml") -> dict[str, Entry]:
    """Entries by name from the text of params.yaml.

    Raises:
        ConfigError: it is not YAML, or holds something that the schema refuses.
    """
    return parse(_document(text, where), where=where)


def check_settled(text: str, where: str, remedy: str = "edit it by hand") -> None:
    """See that no merge of git was left unsettled in a file.

    Raises:
        ConfigError: it holds conflict markers; says where, and the remedy.
    """
    if found := _CONFLICT.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise ConfigError(f"{where}: line {line} begins a conflict that a merge of git has left ({found[0].strip()}); {remedy}")


_CONFLICT = re.compile(r"^<{7}(?: .*)?$", re.MULTILINE)


def _document(text: str, where: str) -> Any:
    """The text as both of its readers see it.

    DVC decides by its own what has changed, and it reads YAML by ruamel's C parser, which refuses and reads some of it otherwise than
    the pure one does.
    """
    check_settled(text, where)
    try:
        document = YAML(typ="safe", pure=True).load(text)
    except RecursionError:
        raise ConfigError(f"{where}: not valid YAML: nested too deeply") from None
    except (YAMLError, ValueError, LookupError, TypeError) as error:
        # The last three come from values that only look like a date or a number, such as 2001-13-45.
        raise ConfigError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from None
    try:
        by_dvc = YAML(typ="safe").load(text)
    except (YAMLError, ValueError, LookupError, TypeError, RecursionError) as error:
        line = f"line {mark.line + 1}: " if (mark := getattr(error, "problem_mark", None)) else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        remedy = "write the value in quotes" if "':'" in problem else "write it otherwise"
        raise ConfigError(f"{where}: {line}DVC, which reads this file too, refuses it ({problem}); {remedy}") from None
    with suppress(RecursionError):  # what holds itself is refused for what it is
        for key, ours, dvcs in _differences(document, by_dvc):
            raise ConfigError(
                f"{where}: {key}: is {ours!r} to one YAML reader and {dvcs!r} to DVC's; write it in quotes, or a plain number"
            )
    return document


def _differences(one: Any, other: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    if type(one) is type(other) and isinstance(one, dict) and list(map(repr, one)) == list(map(repr, other)):
        for (inner, first), second in zip(one.items(), other.values(), strict=True):
            yield from _differences(first, second, f"{key}.{inner}" if key else str(inner))
    elif type(one) is type(other) and isinstance(one, list) and len(one) == len(other):
        for index, (first, second) in enumerate(zip(one, other, strict=True)):
            yield from _differences(first, second, f"{key}.{index}")
    elif repr(one) != repr(other):  # by which 1, 1.0 and True differ, and two NaN do not
        yield key, one, other


def load_entry(workspace: Path, name: str) -> Entry:
    """The entry `name` of `workspace`/params.yaml; others may be wrong.

    Raises:
        ConfigError: as `read`, the entry is wrong, or there is none of that name; then with the nearest one.
    """
    found = read(workspace)
    if problems := [*found.stray, *found.wrong.get(name, ())]:
        raise ConfigError("\n".join(problems))
    if name not in found.entries:
        names = sorted([*found.entries, *found.wrong])
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it has: {', '.join(names) or 'none'}"
        raise ConfigError(f"{workspace / 'params.yaml'}: no generator {name!r}; {hint}")
    return found.entries[name]
