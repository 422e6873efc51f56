#!/usr/bin/env bash
# Guess: a CSV cell that begins with a quote and never closes it is an error, at the latest where the reader is strict or the file ends.
# Version: pandas 3.1.1, pyarrow 25.0.1, the csv module of Python 3.11 and later.
# Behaviour: the following rows become part of that cell until some later cell happens to end in a quote, in all three, strict or not. Where
#   none does, csv (strict) and pandas raise, and pyarrow takes the rest of the file as one cell.
# Seen: of 4 rows, 2 are left, without a word; of 3 rows, pyarrow gives 2.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet pandas==3.1.1 pyarrow==25.0.1 numpy==2.4.6

venv/bin/python - <<'PYTHON'
import csv
import io

import pandas as pd
import pyarrow.csv

READERS = {
    "csv, strict": lambda text: [row for row in csv.reader(io.StringIO(text), strict=True)][1:],
    "pandas": lambda text: pd.read_csv(io.StringIO(text)).to_numpy().tolist(),
    "pyarrow": lambda text: [list(row.values()) for row in pyarrow.csv.read_csv(io.BytesIO(text.encode())).to_pylist()],
}


def read(text):
    found = {}
    for name, reader in READERS.items():
        try:
            found[name] = reader(text)
        except Exception as error:
            found[name] = type(error).__name__
    return found


closed_by_chance = read('file,caption\na.png,"red\nb.png,blue\nc.png,5"\nd.png,green\n')
never_closed = read('file,caption\na.png,red\nb.png,"5\nc.png,blue\n')
print(closed_by_chance, never_closed, sep="\n")
swallowed = [["a.png", "red\nb.png,blue\nc.png,5"], ["d.png", "green"]]
assert closed_by_chance == dict.fromkeys(READERS, swallowed), "changed"
left = [["a.png", "red"], ["b.png", "5\nc.png,blue\n"]]
assert never_closed == {"csv, strict": "Error", "pandas": "ParserError", "pyarrow": left}, "changed"
PYTHON
