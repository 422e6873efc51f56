#!/usr/bin/env bash
# Guess: a client of one tracking store writes a run's artifacts where that store says.
# Version: mlflow 3.17.2.
# Behaviour: artifact repositories are kept in one cache of the process by the run's id alone. Of two copies of a database whose experiments name different folders, as after a backup was restored beside the original, the second client writes into the folder of the first.
# Seen: the file that the second client logs lies in the first one's folder, and its own has none; in a process of its own it lies where it should.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet mlflow==3.17.2

cat > make.py <<'PYTHON'
import shutil
import sqlite3

from mlflow import MlflowClient

client = MlflowClient("sqlite:///first.db")
run = client.create_run(client.create_experiment("digits", "first-artifacts")).info.run_id
shutil.copy("first.db", "second.db")
with sqlite3.connect("second.db") as database:
    for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
        database.execute(f"UPDATE {table} SET {column} = replace({column}, 'first-artifacts', 'second-artifacts')")
print(run)
PYTHON
cat > write.py <<'PYTHON'
import sys

from mlflow import MlflowClient

run, *stores = sys.argv[1:]
for store in stores:
    MlflowClient(f"sqlite:///{store}.db").log_text(run, "kept", f"of-{store}.txt")
PYTHON
run=$(venv/bin/python -W ignore make.py 2> /dev/null | tail -1)
venv/bin/python -W ignore write.py "$run" first second 2> /dev/null
echo "in one process:" && find . -name 'of-*.txt' | sort
[ -n "$(find first-artifacts -name of-second.txt)" ] || { echo "changed: the second store's artifacts lie in its own folder"; exit 1; }
find . -name 'of-*.txt' -delete
venv/bin/python -W ignore write.py "$run" second 2> /dev/null
echo "in a process of its own:" && find . -name 'of-*.txt' | sort
[ -n "$(find second-artifacts -name of-second.txt)" ]
