#!/usr/bin/env bash
# Guess: a categorical column survives Parquet, with its categories, order and codes, whatever the categories are.
# Version: pandas 3.1.1, pyarrow 25.0.1.
# Behaviour: string categories come back. Integer ones (class labels) come back as plain int64: the order and the unused classes are gone, with no warning.
# Seen: dtype category with codes [1, 2] for strings; int64 for integers.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet pandas==3.1.1 pyarrow==25.0.1

venv/bin/python -W ignore - <<'PYTHON'
import pandas as pd

frame = pd.DataFrame(
    {
        "word": pd.Categorical(["b", "a"], categories=["c", "b", "a"], ordered=True),
        "label": pd.Categorical([3, 1], categories=[5, 3, 1], ordered=True),
    }
)
frame.to_parquet("labels.parquet")
back = pd.read_parquet("labels.parquet")
print(back.dtypes.to_dict())
assert back["word"].dtype == frame["word"].dtype
assert back["label"].dtype == "int64", "changed: integer categories come back"
PYTHON
