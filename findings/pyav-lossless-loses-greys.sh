#!/usr/bin/env bash
# Guess: grey frames written by a lossless encoder come back as they were.
# Version: av 18.1.0 (FFmpeg).
# Behaviour: lossless is the coding of the YUV samples, and these hold greys as 16 to 235: of 256 greys 220 are left, also by FFV1. Into H.264 as pix_fmt "gray" the samples go unscaled and are read as 16 to 235: the ends are cut off and the contrast grows. Exact are yuvj420p, libx264rgb, and FFV1's "gray".
# Seen: all 256 greys through libx264 with qp 0 and FFV1 as yuv420p: 220 left, off by 1; libx264 as gray: off by 20, 16 is 0 and 235 is 255.
# Meaning: moving digits and medical clips lose steps in a "lossless" data set, and a generator trained on them has a comb as its histogram.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet av==18.1.0 numpy==2.4.6

venv/bin/python - <<'PYTHON'
import av
import numpy as np

greys = np.tile(np.arange(256, dtype=np.uint8), (16, 1))


def clip(codec, pixels, **options):
    with av.open("clip.mkv", "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.options = 256, 16, pixels, options
        container.mux(stream.encode(av.VideoFrame.from_ndarray(greys, format="gray")))
        container.mux(stream.encode())
    with av.open("clip.mkv") as container:
        back = next(container.decode(video=0)).to_ndarray(format="gray")[0].astype(int)
    print(f"{codec} {pixels}: {np.unique(back).size} greys, off by up to {abs(back - greys[0]).max()}, 16 is {back[16]}")
    return np.unique(back).size, abs(back - greys[0]).max()


assert clip("libx264", "yuv420p", qp="0") == clip("ffv1", "yuv420p") == (220, 1), "changed: greys are kept"
assert clip("libx264", "gray", qp="0") == (220, 20), "changed: grey H.264 is exact"
for codec, pixels in (("libx264", "yuvj420p"), ("libx264rgb", "rgb24"), ("ffv1", "gray")):
    assert clip(codec, pixels, **({} if codec == "ffv1" else {"qp": "0"})) == (256, 0)
PYTHON
