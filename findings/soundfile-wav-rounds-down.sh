#!/usr/bin/env bash
# Guess: floating-point samples written as 16-bit PCM are rounded to the nearest step, in every container.
# Version: soundfile 0.14.0 (libsndfile).
# Behaviour: into WAV they are rounded down, into FLAC to the nearest. A WAV is half a step too low on average, and its error is twice as large; what is a hair below zero becomes -1.
# Seen: noise of 0.4 steps around zero is all 0 in FLAC, and half -1 in WAV; of larger noise the mean error is -0.50 steps in WAV and 0.00 in FLAC, the largest 1.0 and 0.5.
# Meaning: near-silence of a generator that ends in tanh is not silent in the WAV, and has a mean; the same clip as WAV and FLAC holds different samples.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet soundfile==0.14.0 numpy==2.4.6

venv/bin/python - <<'PYTHON'
import numpy as np
import soundfile

random = np.random.default_rng(0)
near_silence, noise = random.uniform(-0.4, 0.4, 16000), random.uniform(-1000, 1000, 16000)  # in steps of 16 bits


def written(steps, container):
    soundfile.write(f"clip.{container}", (steps / 32768).astype(np.float32), 16000, subtype="PCM_16")
    return soundfile.read(f"clip.{container}", dtype="int16")[0]


low = {container: np.mean(written(near_silence, container) == -1) for container in ("wav", "flac")}
errors = {container: written(noise, container) - noise for container in ("wav", "flac")}
for container, error in errors.items():
    print(f"{container}: {low[container]:.2f} of near-silence is -1, error {error.mean():.2f}, at most {abs(error).max():.2f}")
assert 0.45 < low["wav"] < 0.55 and errors["wav"].mean() < -0.45, "changed: WAV rounds to the nearest"
assert low["flac"] == 0 and abs(errors["flac"]).max() < 0.51, "changed: FLAC rounds down too"
PYTHON
