#!/usr/bin/env bash
# Guess: EventAccumulator gives all that a run has logged: ten grids of samples, ten histograms, 12,000 losses.
# Version: tensorboard 2.21.0, Pillow 13.0.0.
# Behaviour: unless size_guidance says otherwise it keeps 4 pictures, 1 histogram and 10,000 scalars of each tag, the last one and others by chance. size_guidance={"images": 0} and so on keep all.
# Seen: of ten grids 4, of ten histograms 1, of 12,000 losses 10,000; with 0 for each 10, 10 and 12,000.
# Meaning: a script that looks for the best checkpoint's grid, or compares two runs step by step, does not find most of them, though the file holds them all.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 pillow==13.0.0 setuptools==80.9.0 tensorboard==2.21.0

venv/bin/python -W ignore - <<'PYTHON'
import io

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

picture = io.BytesIO()
Image.new("L", (4, 4)).save(picture, "PNG")
grid = Summary.Image(height=4, width=4, colorspace=1, encoded_image_string=picture.getvalue())
weights = HistogramProto(min=0, max=1, num=2, sum=1, sum_squares=1, bucket_limit=[0.5, 1], bucket=[1, 1])
writer = EventFileWriter("log")
for step in range(12_000):
    values = [Summary.Value(tag="loss", simple_value=step)]
    if step % 1200 == 0:
        values += [Summary.Value(tag="grid", image=grid), Summary.Value(tag="weights", histo=weights)]
    writer.add_event(Event(step=step, wall_time=step, summary=Summary(value=values)))
writer.close()


def counted(**options):
    log = EventAccumulator("log", **options).Reload()
    return len(log.Images("grid")), len(log.Histograms("weights")), len(log.Scalars("loss"))


usual, all_of_them = counted(), counted(size_guidance={"images": 0, "histograms": 0, "scalars": 0})
print("grids, histograms, losses by default:", usual, "with 0 for each:", all_of_them)
assert all_of_them == (10, 10, 12_000)
assert usual == (4, 1, 10_000), "changed"
PYTHON
