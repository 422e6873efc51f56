"""Thousands of damaged image files: each is accepted by rule or refused with a reason, in bounded memory and time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CASES = 5_000
_MEMORY = 2 * 2**30
"""Address space of the process, interpreter and libraries included; the largest picture that is allowed takes 256 MiB as RGB."""

# In a process of its own, so that a crash in a decoder, a leak or an endless loop shows, and fails this test alone.
_CHILD = """
import io, json, random, resource, signal, struct, sys
from collections import Counter
from pathlib import Path
import imagecodecs
import numpy as np
import tifffile
from PIL import Image
from tasks.validation.formats import UnusableImageError
from tasks.validation.images import decode
from tasks.params import ValidateParams

cases, memory, *paths = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
originals = [Path(path).read_bytes() for path in paths]
small = Image.merge("RGB", [Image.radial_gradient("L").resize((48, 40)), *2 * [Image.linear_gradient("L").resize((48, 40))]])
for form, options in {
    "PNG": {}, "GIF": {}, "BMP": {}, "TIFF": {}, "WEBP": {}, "JPEG": {"exif": Image.Exif(), "icc_profile": b"x" * 300}, "PPM": {},
}.items():
    file = io.BytesIO()
    small.save(file, form, **options)
    originals.append(file.getvalue())
small.save(file := io.BytesIO(), "AVIF")
originals.append(file.getvalue())
deep = np.asarray(small).astype(np.uint16) * 16
for options in (
    {"photometric": "rgb", "planarconfig": "separate"}, {"photometric": "rgb", "compression": "lzw", "predictor": True},
    {"photometric": "rgb", "compression": "zlib", "tile": (16, 16)}, {"photometric": "rgb", "compression": "zstd", "bigtiff": True},
):
    planes = np.moveaxis(deep, 2, 0) if "planarconfig" in options else deep
    tifffile.imwrite(file := io.BytesIO(), planes, **options)
    originals.append(file.getvalue())
for pieces, options in (
    (np.asarray(small), {"compression": "lzw"}), (np.asarray(small), {"compression": "lzw", "rowsperstrip": 3}),
    (deep, {"compression": "lzw", "tile": (16, 16)}), (np.moveaxis(deep, 2, 0), {"compression": "lzw", "planarconfig": "separate"}),
    (np.asarray(small), {"compression": "packbits"}), (deep, {"compression": "packbits", "rowsperstrip": 3}),
):
    tifffile.imwrite(file := io.BytesIO(), pieces, photometric="rgb", **options)
    originals.append(file.getvalue())
tifffile.imwrite(file := io.BytesIO(), deep, photometric="rgb", compression="jpeg", bitspersample=12)
originals.append(file.getvalue())
tifffile.imwrite(file := io.BytesIO(), deep[..., 0], bitspersample=12, photometric="miniswhite")
originals += [
    file.getvalue(), imagecodecs.png_encode(deep), imagecodecs.jpeg8_encode(deep, bitspersample=12),
    imagecodecs.jpeg2k_encode(deep, level=0, bitspersample=12, codecformat="jp2"), imagecodecs.jpegxl_encode(deep, bitspersample=12),
    imagecodecs.jpegxl_encode(np.asarray(small), level=90),
]
for form in ("GIF", "PNG", "WEBP", "TIFF"):  # animated, or several pages
    file = io.BytesIO()
    small.save(file, form, save_all=True, append_images=[small.rotate(90), small.rotate(180)])
    originals.append(file.getvalue())


def flipped(data, draw):
    data = bytearray(data)
    for _ in range(draw.choice([1, 1, 4, 40])):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(data)


def header(data, draw):
    # Where sizes, offsets and counts stand: numbers of all lengths, small and giant.
    data = bytearray(data)
    for _ in range(draw.choice([1, 2, 4])):
        at = draw.randrange(min(len(data) - 4, 120))
        number = draw.choice([0, 1, 255, 65_535, 2**31 - 1, 2**32 - 1])
        form = draw.choice(["<I", ">I", "<H", ">H"])
        struct.pack_into(form, data, at, number % (2**32 if form[1] == "I" else 2**16))
    return bytes(data)


def truncated(data, draw):
    return data[: draw.randrange(len(data))]


def doubled(data, draw):
    start = draw.randrange(len(data))
    return data[:start] + data[draw.randrange(start + 1) :]


def swapped(data, draw):
    # The beginning of one format before the rest of another.
    other, cut = draw.choice(originals), draw.randrange(4, 64)
    return data[:cut] + other[cut:]


def too_slow(number, frame):
    raise TimeoutError


signal.signal(signal.SIGALRM, too_slow)
said = Counter()
for case in range(int(cases)):
    draw = random.Random(case)
    data = draw.choice(originals)
    for change in draw.choices([flipped, header, truncated, doubled, swapped], k=draw.choice([1, 1, 2])):
        if len(data) > 8:
            data = change(data, draw)
    signal.alarm(20)
    try:
        picture = decode(data, 32, ValidateParams())
    except UnusableImageError as error:
        assert str(error), case
        said["refused"] += 1
    except BaseException as error:
        said[f"case {case}: {type(error).__name__}: {error}"] += 1
    else:
        assert picture.pixels.shape in ((1, 32, 32), (3, 32, 32)), case
        said["accepted"] += 1
    signal.alarm(0)
print(json.dumps(said))
"""


@pytest.mark.slow
def test_damaged_files_are_accepted_by_rule_or_refused_with_a_reason(gantry_data: Path) -> None:
    originals = [path for path in sorted((gantry_data / "odd/pillow").iterdir()) if path.suffix in (".jpg", ".png", ".tif", ".ppm", ".gif")]
    originals = [path for path in originals if path.stat().st_size < 200_000]
    originals += sorted((gantry_data / "sign-digits").rglob("*.jpg"))[:3] + sorted((gantry_data / "emoji").rglob("*.png"))[:3]
    assert len(originals) > 15
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _CHILD, str(CASES), str(_MEMORY), *map(str, originals)],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    said = json.loads(done.stdout)
    assert set(said) == {"accepted", "refused"}, said
    assert min(said.values()) > CASES // 20
