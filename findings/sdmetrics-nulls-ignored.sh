#!/usr/bin/env bash
# Guess: a similarity of two columns falls when half of the real one is missing and nothing of the synthetic one is.
# Version: sdmetrics 0.32.0.
# Behaviour: KSComplement and TVComplement drop the nulls of both columns first; only MissingValueSimilarity looks at them.
# Seen: 1.0, 1.0 and 0.5.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet sdmetrics==0.32.0

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import pandas as pd
from sdmetrics.single_column import KSComplement, MissingValueSimilarity, TVComplement

real, synthetic = pd.Series([1, 2, 3, 4, *[np.nan] * 4]), pd.Series([1.0, 2, 3, 4] * 2)
letters, filled = pd.Series(["a", "b", None, None]), pd.Series(["a", "b", "a", "b"])
scores = KSComplement.compute(real, synthetic), TVComplement.compute(letters, filled), MissingValueSimilarity.compute(real, synthetic)
print("KSComplement, TVComplement, MissingValueSimilarity:", [float(score) for score in scores])
assert scores == (1, 1, 0.5), "changed"
PYTHON
