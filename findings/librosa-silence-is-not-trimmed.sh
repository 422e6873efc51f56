#!/usr/bin/env bash
# Guess: librosa.effects.trim leaves nothing of a clip of zeros, and cuts the zeros before and behind a faint sound; effects.split finds no interval in silence.
# Version: librosa 0.11.0, numpy 2.4.6.
# Behaviour: what is silent is what lies 60 dB below the clip's loudest frame, and frames below an amplitude of 1e-5 count as that. In a clip that is nowhere louder, every frame is then as loud as the loudest: all of it is kept.
# Seen: a second of zeros keeps its 8,000 samples and is one interval for split; a second of noise at 1e-6 between two of zeros keeps all 24,000, and at 1e-2 10,240 are left.
# Meaning: empty recordings pass a preparation that trims and then drops what is too short, and the set holds clips of silence.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 librosa==0.11.0

venv/bin/python -W ignore - <<'PYTHON'
import librosa
import numpy as np

zeros, noise = np.zeros(8000), np.random.default_rng(0).normal(size=8000)
kept = {level: len(librosa.effects.trim(np.concatenate([zeros, level * noise, zeros]))[0]) for level in (0, 1e-6, 1e-2)}
silence, intervals = len(librosa.effects.trim(zeros)[0]), librosa.effects.split(zeros).tolist()
print("kept of 24,000 by level:", kept, "of 8,000 zeros:", silence, "intervals:", intervals)
assert 8000 <= kept[1e-2] < 10_500
assert kept[1e-6] == kept[0] == 24_000 and silence == 8000 and intervals == [[0, 8000]], "changed: silence is trimmed"
PYTHON
