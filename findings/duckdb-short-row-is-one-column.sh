#!/usr/bin/env bash
# Guess: a row with one value too few among the first hundred of a CSV is filled with NULL or is an error that names the line.
# Version: duckdb 2.0.1.
# Behaviour: the separator is guessed so that all rows of the sample have one count of columns. One short row speaks against the comma, so the whole file becomes a single column of text, named "x,y", without a word. A short row far behind the sample is an error with its line; delimiter="," makes it one here too, and null_padding=True fills it.
# Seen: of 201 rows the columns are ["x,y"] and a value is "1,2"; with delimiter="," the file is refused, with null_padding=True the row is (3, NULL); without the short row there are two columns of numbers.
# Meaning: a loader that takes whatever columns there are trains on one column of many distinct texts.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet duckdb==2.0.1

venv/bin/python -W ignore - <<'PYTHON'
import duckdb


def read(*middle, **options):
    with open("rows.csv", "w") as file:
        file.write("\n".join(["x,y", *["1,2"] * 100, *middle, *["4,5"] * 100]) + "\n")
    table = duckdb.read_csv("rows.csv", **options)
    rows = table.fetchall()
    return table.columns, rows[0], rows[100]


whole, short = read(), read("3")
try:
    told = read("3", delimiter=",")
except duckdb.InvalidInputException:
    told = "refused"
padded = read("3", null_padding=True)
print("all rows whole:", whole, "one short:", short, "with the delimiter:", told, "padded:", padded)
assert whole == (["x", "y"], (1, 2), (4, 5)) and told == "refused" and padded == (["x", "y"], (1, 2), (3, None))
assert short == (["x,y"], ("1,2",), ("3",)), "changed: it is filled or refused"
PYTHON
