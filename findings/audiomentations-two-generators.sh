#!/usr/bin/env bash
# Guess: np.random.seed() (or random.seed()) alone makes an audiomentations pipeline repeat itself, and each augmentation uses one of them throughout.
# Version: audiomentations 0.43.1, numpy 2.4.6.
# Behaviour: whether and how strongly something is applied is drawn from Python's random, the noise itself from numpy's global generator, within one and the same transform.
# Seen: after numpy's seed alone Gain differs from one time to the next; after random's alone Gain repeats and AddGaussianNoise differs; after both, both repeat.
# Meaning: a seed that is set in one place leaves the augmented set different in each run, and there is no generator to hand over.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 audiomentations==0.43.1

venv/bin/python -W ignore - <<'PYTHON'
import random

import audiomentations
import numpy as np

clip = np.ones(1000, "float32")
gain, noise = audiomentations.Gain(p=1.0), audiomentations.AddGaussianNoise(p=1.0)


def repeats(transform, *seeds):
    results = []
    for _ in range(2):
        for seed in seeds:
            seed(0)
        results.append(transform(clip, 16000))
    return bool(np.array_equal(*results))


numpy_alone, random_alone = [[repeats(transform, seed) for transform in (gain, noise)] for seed in (np.random.seed, random.seed)]
both = [repeats(transform, np.random.seed, random.seed) for transform in (gain, noise)]
print("Gain and AddGaussianNoise repeat, numpy seeded:", numpy_alone, "random seeded:", random_alone, "both:", both)
assert both == [True, True]
assert numpy_alone == [False, False] and random_alone == [True, False], "changed: one seed is enough"
PYTHON
