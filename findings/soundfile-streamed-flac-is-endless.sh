#!/usr/bin/env bash
# Guess: a FLAC that was written to a pipe, and so has 0 for "unknown" where its length belongs, as the format allows, is read to its end, or says a length of 0.
# Version: soundfile 0.14.0 (libsndfile), av 18.1.0 (FFmpeg), numpy 2.4.6.
# Behaviour: soundfile says 2**63 - 1 frames. Reading it whole raises that the array is too big, and reading more than there is an error of seeking, where other files give what is left; less than there is comes. FFmpeg reads it to the end.
# Seen: for one second at 8 kHz a duration of 1.2e15 s; 4,000 frames come, all of them and 10,000 raise, and PyAV has 8,000.
# Meaning: recordings and recoded clips from pipes drop out of a sound set, and a sum of its durations is absurd; pass them through a program that fills the length in.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 av==18.1.0 soundfile==0.14.0

venv/bin/python -W ignore - <<'PYTHON'
import av
import numpy as np
import soundfile


class Pipe:
    def __init__(self):
        self.data = bytearray()

    def write(self, data):
        self.data += data
        return len(data)


pipe = Pipe()
with av.open(pipe, "w", format="flac") as container:
    stream = container.add_stream("flac", rate=8000, layout="mono")
    frame = av.AudioFrame.from_ndarray((np.arange(8000) % 100).astype("int16")[None], format="s16", layout="mono")
    frame.rate = 8000
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
with open("streamed.flac", "wb") as file:
    file.write(pipe.data)


def read(frames):
    try:
        return len(soundfile.read("streamed.flac", frames=frames)[0])
    except (ValueError, soundfile.SoundFileError) as error:
        return str(error)


info = soundfile.info("streamed.flac")
with av.open("streamed.flac") as container:
    decoded = sum(frame.samples for frame in container.decode(audio=0))
print("frames:", info.frames, "seconds:", info.duration, "PyAV reads", decoded)
print("a part:", read(4000), "all:", read(-1), "more:", read(10000))
assert decoded == 8000 and read(4000) == 4000
assert info.frames == 2**63 - 1 and isinstance(read(-1), str) and isinstance(read(10000), str), "changed: the length is unknown or right"
PYTHON
