#!/usr/bin/env bash
# Guess: NewRowSynthesis is the share of synthetic rows that are not in the real table: 1.0 where no row repeats.
# Version: sdmetrics 0.32.0.
# Behaviour: numbers match when they are within 1 percent of the value (numerical_match_tolerance=0.01, relative). For a calendar year this is 20 years either way, so every year matches every other.
# Seen: 0.0 for real years 2000 to 2009 against synthetic years 2010 to 2019; 1.0 with the tolerance at 0.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet sdmetrics==0.32.0

venv/bin/python -W ignore - <<'PYTHON'
import pandas as pd
from sdmetrics.single_table import NewRowSynthesis

metadata = {"columns": {"year": {"sdtype": "numerical"}}}
real, synthetic = pd.DataFrame({"year": range(2000, 2010)}), pd.DataFrame({"year": range(2010, 2020)})
usual = NewRowSynthesis.compute(real, synthetic, metadata)
exact = NewRowSynthesis.compute(real, synthetic, metadata, numerical_match_tolerance=0)
print("share of new rows:", usual, "with tolerance 0:", exact)
assert (usual, exact) == (0, 1), "changed"
PYTHON
