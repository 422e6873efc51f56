#!/usr/bin/env bash
# Guess: reverse_transform(transform(column)) gives the column back, missing values where they were.
# Version: rdt 2.0.0 (the transformers of SDV).
# Behaviour: FloatFormatter fills nulls with the mean and, in reverse, nulls cells at random at the rate it learned, also cells that were never null. The former nulls come back as the mean.
# Seen: of 1,000 rows with the first 300 null, about 100 of these are null again and about 200 others have become so.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet rdt==2.0.0

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import pandas as pd
from rdt.transformers import FloatFormatter

frame = pd.DataFrame({"age": np.arange(1000.0)})
frame.loc[:299, "age"] = np.nan
transformer = FloatFormatter()
back = transformer.reverse_transform(transformer.fit_transform(frame, "age"))["age"].isna()
print("null again:", int(back[:300].sum()), "of 300; newly null:", int(back[300:].sum()), "of 700")
assert back[:300].sum() < 200 and back[300:].sum() > 100, "changed: nulls keep their place"
PYTHON
