#!/usr/bin/env bash
# Guess: librosa.power_to_db of a batch of spectrograms is that of each one: functions that take leading axes treat them as a batch.
# Version: librosa 0.11.0, numpy 2.4.6.
# Behaviour: top_db=80, the default, cuts off at 80 dB below the loudest value of the whole array. A quiet clip beside a loud one is then flat at that floor. top_db=None, or a clip at a time, leaves it as it is.
# Seen: a tone of -120 dB beside one of 0 dB is -80 dB everywhere, with a range of 0 dB; alone it has a range of more than 30 dB.
# Meaning: spectrograms that were prepared in batches differ from those prepared one by one, quiet samples lose what is in them, and a judge of generated sounds depends on how they were batched.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 librosa==0.11.0

venv/bin/python -W ignore - <<'PYTHON'
import librosa
import numpy as np

rate = 8000
tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
power = np.abs(librosa.stft(np.stack([tone, 1e-6 * tone]), n_fft=512)) ** 2
power /= power.max()
together, alone = librosa.power_to_db(power, amin=1e-20)[1], librosa.power_to_db(power[1], amin=1e-20)
free = librosa.power_to_db(power, amin=1e-20, top_db=None)[1]
print("quiet clip beside a loud one:", together.min(), together.max(), "alone:", alone.min(), alone.max())
assert np.ptp(alone) > 30 and np.allclose(free.max(), alone.max())
assert np.ptp(together) == 0 and abs(together.max() + 80) < 0.1, "changed: each clip has its own floor"
PYTHON
