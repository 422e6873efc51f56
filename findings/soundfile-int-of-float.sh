#!/usr/bin/env bash
# Guess: dtype="int16" scales by 32768 whatever the file's subtype, as it does the other way for PCM files.
# Version: soundfile 0.14.0 (libsndfile).
# Behaviour: between float files and integers nothing is scaled. A float WAV in [-1, 1] read as int16 is rounded to 0, silence; int16 written into one holds samples up to 32767, which play at full clip. A PCM file is scaled both ways.
# Seen: peak 0 where a PCM_16 copy of the same tone gives 16384; peak 16383.0 in the float file.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet soundfile==0.14.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import soundfile as sf

tone = (0.5 * np.sin(np.arange(1600) / 5)).astype(np.float32)
sf.write("float.wav", tone, 16000, subtype="FLOAT")
sf.write("pcm.wav", tone, 16000, subtype="PCM_16")
peak = {name: int(np.abs(sf.read(name, dtype="int16")[0]).max()) for name in ("float.wav", "pcm.wav")}
sf.write("written.wav", (tone * 32767).astype(np.int16), 16000, subtype="FLOAT")
written = float(np.abs(sf.read("written.wav")[0]).max())
print("read as int16:", peak, "int16 written as FLOAT:", written)
assert peak["float.wav"] == 0 and peak["pcm.wav"] > 16000 and written > 16000, "changed"
PYTHON
