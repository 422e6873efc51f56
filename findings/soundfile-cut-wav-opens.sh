#!/usr/bin/env bash
# Guess: a sound file that was cut off while it was copied is noticed when it is opened or read, as a picture's is, or alike for WAV and FLAC.
# Version: soundfile 0.14.0 (libsndfile 1.2.2), numpy 2.4.6.
# Behaviour: a cut WAV opens without an error and says what is left as its length, whatever its header promises; a cut FLAC keeps the promised length and fails when it is read.
# Seen: of 8,000 values the first 6,000 bytes are a WAV of 2,978 values, read without a word; the FLAC says 8,000, and reading it raises.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet soundfile==0.14.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
from io import BytesIO

import numpy as np
import soundfile

values = np.random.default_rng(0).integers(-20_000, 20_000, 8_000).astype(np.int16)
found = {}
for form in ("WAV", "FLAC"):
    whole = BytesIO()
    soundfile.write(whole, values, 8_000, format=form, subtype="PCM_16")
    cut = BytesIO(whole.getvalue()[:6_000])
    with soundfile.SoundFile(cut) as file:
        said = file.frames
        try:
            read = len(file.read())
        except soundfile.LibsndfileError:
            read = "error"
    found[form] = (said, read)
print(found)
assert found == {"WAV": (2_978, 2_978), "FLAC": (8_000, "error")}, "changed"
PYTHON
