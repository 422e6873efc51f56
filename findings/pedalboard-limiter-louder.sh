#!/usr/bin/env bash
# Guess: a limiter leaves what is below its threshold as it is; a reverb of wet 0 and dry 1 gives back what it got.
# Version: pedalboard 0.9.26, numpy 2.4.6.
# Behaviour: Limiter makes everything louder by some amount that depends on its threshold, quiet sounds too, until the peak is 1; Reverb doubles the dry part, so that 0.5 is what leaves it as it is.
# Seen: a tone of peak 0.01, 30 dB below the default threshold of -10 dB, comes out at 0.049, one of 0.5 at 1.0; at a threshold of -20 dB 0.01 becomes 0.154. Through a dry reverb 0.5 becomes 1.0.
# Meaning: sounds that were prepared or augmented by either are five or two times as loud as the others, and a generator learns these levels.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet pedalboard==0.9.26 numpy==2.4.6

venv/bin/python - <<'PYTHON'
import numpy as np
import pedalboard

rate = 16000
tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)


def peak(effect, level):
    return float(np.abs(effect(level * tone, rate)[rate // 8 :]).max())


limited = {(threshold, level): peak(pedalboard.Limiter(threshold_db=threshold), level) for threshold in (-10, -20) for level in (0.01, 0.5)}
dry = {level: peak(pedalboard.Reverb(wet_level=0, dry_level=level), 0.5) for level in (0.5, 1.0)}
print("by threshold and peak, limited:", limited, "a peak of 0.5 by dry level:", dry)
assert np.isclose(limited[-10, 0.01], 0.049, atol=0.002) and np.isclose(limited[-20, 0.01], 0.154, atol=0.005), "changed: quiet sounds are left"
assert np.isclose(limited[-10, 0.5], 1.0, atol=0.01)
assert np.isclose(dry[0.5], 0.5, atol=0.01) and np.isclose(dry[1.0], 1.0, atol=0.01), "changed: a dry level of 1 is the input"
PYTHON
