"""The program beside an exported network that draws with it, for those who have no Gantry."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from gan_core.kinds import spelling
from gan_core.kinds.captions import Captioned
from gan_core.kinds.clips import Clips
from gan_core.kinds.pixels import Pixels
from gan_core.kinds.predictions import Predictions
from gan_core.kinds.sentences import Sentences
from gan_core.kinds.sounds import Sounds
from gan_core.kinds.volumes import Volumes
from tasks import griffin_lim

if TYPE_CHECKING:
    from gan_core.generator import GeneratorConfig

_PROGRAM = '''\
"""Runs model.onnx: {usage}. It needs {needs}, and nothing of Gantry."""

{imports}

session = onnxruntime.InferenceSession(Path(__file__).with_name("model.onnx"))
about = session.get_modelmeta().custom_metadata_map
{body}
'''
_MODULES = ("csv", "json", "sys", "wave")  # of Python's own, beside pathlib

_BESIDE_IT = {"waves": griffin_lim, "words": spelling, "joined": spelling}
"""Modules that are copied beside the program, by the function that it calls of each."""
_COUNT = "count = int(sys.argv[1]) if len(sys.argv) > 1 else 16\n"
_LATENTS = 'given = {"latents": np.random.default_rng(0).standard_normal((count, LATENT), dtype=np.float32)}\n'
_LABELS = 'given["labels"] = np.arange(count) % len(json.loads(about["labels"]))\n'
_NUMBERS = 'given["labels"] = np.linspace({}, {}, count, dtype=np.float32)\n'
_TO_NUMBER = 'given["labels"] = np.array([float(sys.argv[2])], dtype=np.float32)\n'
_TO_LABEL = 'given["labels"] = np.array([json.loads(about["labels"]).index(sys.argv[2])])\n'
_SHARES = 'shares = json.loads(about["label_shares"])\ngiven["labels"] = np.random.default_rng(1).choice(len(shares), count, p=shares)\n'
_RUN = 'samples, values = session.run(["samples", "values"], given)\n'
_TOKENS = """\
index = {word: token for token, word in enumerate(json.loads(about["words"])) if token > 1}
tokens = [index.get(word, 1) for word in words(sys.argv[1])]
length = json.loads(about["inputs"])["tokens"]["shape"][1]
given["tokens"] = np.array([(tokens + [0] * length)[:length]] * count)
"""
_PICTURE = 'Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save("samples.png")'
_BESIDE = "picture = np.concatenate(samples, axis=2).transpose(1, 2, 0)  # side by side\n"
_FILM = """\
frames = [Image.fromarray(frame.squeeze(-1) if frame.shape[-1] == 1 else frame) for frame in film.transpose(1, 2, 3, 0)]
frames[0].save("samples.gif", save_all=True, append_images=frames[1:], duration=100, loop=0)"""
_WAVES = """\
(values,) = session.run(["values"], given)
told = json.loads(about["spectrogram"])
with wave.open("samples.wav", "wb") as file:  # one after another
    file.setparams((1, 2, told["rate"], 0, "NONE", ""))
    file.writeframes((waves(values, **told).clip(-1, 1) * 32767).astype("<i2").tobytes())"""
_SENTENCES = """\
known = json.loads(about["words"])
for tokens in samples:
    print(joined(known[token] for token in tokens if token))"""
_ROWS = """\
columns = json.loads(about["columns"])
rows = [[column["name"] for column in columns]]
for row in samples:
    rows.append([c["categories"][int(v)] if c["categories"] else "" if np.isnan(v) else v for c, v in zip(columns, row)])
"""
_ROW_LABELS = """\
labels, combinations = json.loads(about["label_columns"]), json.loads(about["label_combinations"])
rows[0] += [label["name"] for label in labels]
for row, label in zip(rows[1:], given["labels"]):
    row += [c["categories"][v] for c, v in zip(labels, combinations[label])]
"""
_ROW_LABEL = """\
rows[0].append(json.loads(about["label_column"])["name"])
for row, label in zip(rows[1:], given["labels"]):
    row.append(json.loads(about["labels"])[label])
"""
_CSV = 'with open("samples.csv", "w", newline="", encoding="utf-8") as file:\n    csv.writer(file).writerows(rows)'


def write_loader(config: GeneratorConfig, folder: Path) -> str:
    """Write `load.py`, and what it imports beside numpy, ONNX Runtime and Pillow, into the folder with `model.onnx`; says how to use it."""
    usage, body = _drawing(config) if config.inputs is None else _translating(config)
    own = [f"import {name}" for name in _MODULES if re.search(rf"\b{name}\.", body)]
    others = ["import numpy as np", "import onnxruntime"]
    if "Image" in body:
        others.append("from PIL import Image, ImageSequence" if "ImageSequence" in body else "from PIL import Image")
    for function, module in _BESIDE_IT.items():
        if f"{function}(" in body:
            others.append(f"from {module.__name__.rpartition('.')[2]} import {function}")
            file = Path(str(module.__file__))
            (folder / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    text = _PROGRAM.format(
        usage=usage,
        needs="numpy, onnxruntime and pillow" if "Image" in body else "numpy and onnxruntime",
        imports="\n".join([*own, "from pathlib import Path", "", *others]),
        body=body,
    )
    if "about[" not in body:
        text = text.replace("about = session.get_modelmeta().custom_metadata_map\n", "")
    (folder / "load.py").write_text(text, encoding="utf-8")
    return usage


def _translating(config: GeneratorConfig) -> tuple[str, str]:
    """How the program is used that translates what it is given, and what it does."""
    assert config.inputs is not None  # noqa: S101
    if not Pixels.of(config.data).is_plain:  # which no library for pictures has a type for
        given = f'given = {{"images": np.load(sys.argv[1])[None]}}  # {" x ".join(map(str, config.inputs))}\n'
        return "python load.py ARRAY.npy writes samples.npy", f'{given}{_RUN}np.save("samples.npy", samples)'
    channels, *frames, height, width = config.inputs
    as_array = f'convert("{"L" if channels == 1 else "RGB"}").resize(({width}, {height}))'
    if isinstance(config.data, Predictions):
        body = (
            f"images = [one.{as_array} for one in ImageSequence.Iterator(Image.open(sys.argv[1]))][:: {config.data.every}][: {frames[0]}]\n"
            f"clip = np.stack([np.asarray(one).reshape({height}, {width}, {channels}) for one in images])\n"
            f'given = {{"images": clip.transpose(3, 0, 1, 2)[None]}}\n{_RUN}'
            f'film = np.concatenate([given["images"][0], samples[0]], axis=1)\n{_FILM}'
        )
        return f"python load.py CLIP, animated and of {frames[0]} frames at least, writes samples.gif", body
    to_label = "" if config.targets is None else _TO_LABEL if config.data.numbers is None else _TO_NUMBER
    body = (
        f"image = Image.open(sys.argv[1]).{as_array}\n"
        f'given = {{"images": np.asarray(image).reshape(1, {height}, {width}, {channels}).transpose(0, 3, 1, 2)}}\n'
        f"{to_label}{_RUN}picture = samples[0].transpose(1, 2, 0)\n{_PICTURE}"
    )
    return f"python load.py PICTURE{'' if config.targets is None else ' LABEL'} writes samples.png", body


def _drawing(config: GeneratorConfig) -> tuple[str, str]:
    """How the program is used that draws from latents, and what it does."""
    data, schema = config.data, config.schema
    latents = _LATENTS.replace("LATENT", str(config.latent))
    if isinstance(data, Captioned):
        drawn = _COUNT.replace("argv[1]", "argv[2]").replace("> 1", "> 2") + latents + _TOKENS + _RUN
        if data.is_plain:
            return "python load.py PROMPT [COUNT] draws samples.png", f"{drawn}{_BESIDE}{_PICTURE}"
        return "python load.py PROMPT [COUNT] draws samples.npy", f'{drawn}np.save("samples.npy", samples)'
    labels = "" if config.condition is None else _LABELS if data.numbers is None else _NUMBERS.format(*data.numbers)
    labels = _SHARES if labels and schema is not None and schema.shares is not None else labels
    given = _COUNT + latents + labels
    if isinstance(data, Sounds):
        return "python load.py [COUNT] draws samples.wav", f"{given}{_WAVES}"
    drawn = given + _RUN
    if isinstance(data, Sentences):
        return "python load.py [COUNT] writes sentences", f"{drawn}{_SENTENCES}"
    if isinstance(data, Volumes) or (isinstance(data, Pixels) and not data.is_plain):  # which no library for pictures has a type for
        return "python load.py [COUNT] draws samples.npy", f'{drawn}np.save("samples.npy", samples)'
    if isinstance(data, Clips):
        return "python load.py [COUNT] draws samples.gif", f"{drawn}film = np.concatenate(samples, axis=3)  # side by side\n{_FILM}"
    if isinstance(data, Pixels):
        return "python load.py [COUNT] draws samples.png", f"{drawn}{_BESIDE}{_PICTURE}"
    if schema is None:
        return "python load.py [COUNT] draws samples.csv", drawn + 'np.savetxt("samples.csv", samples, delimiter=",")'
    of_labels = _ROW_LABELS if schema.labels else _ROW_LABEL if config.classes is not None else ""
    return "python load.py [COUNT] draws samples.csv", f"{drawn}{_ROWS}{of_labels}{_CSV}"
