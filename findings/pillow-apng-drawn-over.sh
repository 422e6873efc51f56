#!/usr/bin/env bash
# Guess: Pillow shows an animated PNG as browsers do: a frame that says "previous" is taken away again, and the next is drawn over what was there before it.
# Version: Pillow 13.0.0; PyAV 18.1.0 (FFmpeg) beside it.
# Behaviour: a frame is drawn into the very picture that Pillow keeps to go back to, so from the third frame on what should have come back is gone. Clips that are read so have leftovers of one frame in the others.
# Seen: blue places of a line on which a dot stands at 2, and then, after that is taken away, at 6: by FFmpeg [], [2], [6]; by Pillow [], [2], [2, 6].
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet pillow==13.0.0 av==18.1.0 numpy==2.4.6

venv/bin/python - <<'PYTHON'
import av
import numpy as np
from PIL import Image, PngImagePlugin

line = Image.new("RGBA", (9, 9))
for x in range(9):
    line.putpixel((x, 4), (255, 0, 0, 255))
dots = []
for x in (2, 6):
    dot = Image.new("RGBA", (9, 9))
    dot.putpixel((x, 4), (0, 0, 255, 255))
    dots.append(dot)
previous, keep = PngImagePlugin.Disposal.OP_PREVIOUS, PngImagePlugin.Disposal.OP_NONE
over, source = PngImagePlugin.Blend.OP_OVER, PngImagePlugin.Blend.OP_SOURCE
line.save(
    "a.png", save_all=True, append_images=dots, duration=100,
    disposal=[keep, previous, previous], blend=[source, over, over],
)  # fmt: skip

with Image.open("a.png") as film:
    by_pillow = []
    for number in range(film.n_frames):
        film.seek(number)
        by_pillow.append(np.array(film.convert("RGBA"))[4, :, 2])
with av.open("a.png") as film:
    by_ffmpeg = [frame.to_ndarray(format="rgba")[4, :, 2] for frame in film.decode(video=0)]
for name, frames in (("FFmpeg", by_ffmpeg), ("Pillow", by_pillow)):
    print(name, [np.flatnonzero(frame).tolist() for frame in frames])
assert [np.flatnonzero(frame).tolist() for frame in by_ffmpeg] == [[], [2], [6]]
assert [np.flatnonzero(frame).tolist() for frame in by_pillow] == [[], [2], [2, 6]], "changed: what a frame was drawn over comes back"
PYTHON
