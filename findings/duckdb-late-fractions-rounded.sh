#!/usr/bin/env bash
# Guess: a column of whole numbers in whose 30,000th row a fraction comes is read as fractions; or else the row is an error, as text in that place is.
# Version: duckdb 2.0.1.
# Behaviour: types are guessed from the first 20,480 rows or so. A later fraction is rounded to the whole number that the column was taken for, and a later time of day cut off a date, without a word; only text raises. sample_size=-1 looks at all rows.
# Seen: behind 30,000 rows of 1 the values 2.5 and 0.4 are 3 and 0, and behind dates 2024-01-01 13:45:00 is the date; behind 10,000 rows they are 2.5 and 0.4. "abc" raises. With sample_size=-1 all are kept.
# Meaning: a table sorted by size, or with one rare fine measurement, loses its fractions, and so does what is trained and compared on it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet duckdb==2.0.1

venv/bin/python -W ignore - <<'PYTHON'
import duckdb


def read(usual, count, *last, **options):
    with open("rows.csv", "w") as file:
        file.write("\n".join(["x", *[usual] * count, *last]) + "\n")
    return [str(value) for (value,) in duckdb.read_csv("rows.csv", **options).fetchall()[count:]]


early, late, whole = read("1", 10_000, "2.5", "0.4"), read("1", 30_000, "2.5", "0.4"), read("1", 30_000, "2.5", "0.4", sample_size=-1)
times = read("2024-01-01", 30_000, "2024-01-01 13:45:00")
try:
    text = read("1", 30_000, "abc")
except duckdb.ConversionException:
    text = "refused"
print("early:", early, "late:", late, "all looked at:", whole, "time:", times, "text:", text)
assert early == whole == ["2.5", "0.4"] and text == "refused"
assert late == ["3", "0"] and times == ["2024-01-01"], "changed: they are kept or refused"
PYTHON
