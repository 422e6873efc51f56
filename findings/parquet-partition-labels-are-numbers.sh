#!/usr/bin/env bash
# Guess: a label that was text when a table was written to Parquet, partitioned by it, is that text when the table is read.
# Version: pandas 3.1.1, pyarrow 25.0.1.
# Behaviour: the label is kept in the folders' names alone, label=007, and what looks like a number there is read as one. The column also moves to the end and becomes a category. Where two labels are one number, reading raises.
# Seen: "007" and "012" come back as 7 and 12; "007" and "7" raise "Categorical categories must be unique"; "007" and "a" stay text. Without partitions all stay text.
# Meaning: labels with leading zeros (codes, folders of classes, speakers) no longer match those of the table they came from, and whether they do depends on the other labels.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet pandas==3.1.1 pyarrow==25.0.1 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import pandas as pd


def labels(*values):
    name = "-".join(values)
    table = pd.DataFrame({"label": list(values), "x": range(len(values))})
    table.to_parquet(f"{name}.parquet")
    assert pd.read_parquet(f"{name}.parquet")["label"].tolist() == list(values), "one file"
    table.to_parquet(name, partition_cols=["label"])
    try:
        return pd.read_parquet(name)["label"].tolist()
    except ValueError as error:
        return str(error)


found = {"codes": labels("007", "012"), "mixed": labels("007", "a"), "same": labels("007", "7")}
print(found)
assert found["mixed"] == ["007", "a"]
assert found["codes"] == [7, 12] and found["same"] == "Categorical categories must be unique", "changed: labels stay text"
PYTHON
