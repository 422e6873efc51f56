#!/usr/bin/env bash
# Guess: without noise given, reduce_noise() leaves a clean tone as it is, as it holds no noise, and takes away from white noise.
# Version: noisereduce 3.0.3.
# Behaviour: what is steady is taken for the noise, whatever it sounds like: the threshold of each frequency comes from the recording itself, and a held note is as steady as can be. So it is in both modes, stationary or not.
# Seen: of a clean sine of 440 Hz less than 1 % of the power is left in both modes, of four clean notes in turn 1.5 and 6.7 %, of white noise 0.1 and 12 %.
# Meaning: cleaning a data set of instruments or engines with it takes away what is to be learnt; give the noise as y_noise.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet noisereduce==3.0.3 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PYTHON'
import noisereduce
import numpy as np

time = np.arange(8000) / 16000
signals = {
    "held": np.sin(2 * np.pi * 440 * np.arange(32000) / 16000),
    "melody": np.concatenate([np.sin(2 * np.pi * pitch * time) for pitch in (440, 494, 523, 587)]),
    "noise": np.random.default_rng(0).normal(size=32000),
}


def left(signal, stationary):
    cleaned = noisereduce.reduce_noise(y=signal, sr=16000, stationary=stationary)
    return float(np.square(cleaned).mean() / np.square(signal).mean())


shares = {name: [left(signal, stationary) for stationary in (True, False)] for name, signal in signals.items()}
print("power left, stationary and not:", shares)
assert max(shares["held"]) < 0.02, "changed: a clean tone outlasts it"
assert max(shares["melody"]) < 0.1, "changed: a melody outlasts it"
PYTHON
