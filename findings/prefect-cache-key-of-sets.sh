#!/usr/bin/env bash
# Guess: the cache key of a task's inputs is the same for equal inputs in every process, and differs for {1: "a"} and {"1": "a"}.
# Version: prefect 3.8.8, prefect.utilities.hashing.hash_objects, which the INPUTS policy calls.
# Behaviour: what JSON can hold is hashed as JSON, so (1, 2) is [1, 2] and the key 1 is "1"; the rest as a pickle, and the pickle of a set of strings follows the order of the process's hash seed. A task given a set is rarely found in the cache by the next process.
# Seen: several keys of {"a", "b", "c"} over four hash seeds, one key of the sorted list.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet prefect==3.8.8
export PREFECT_HOME=$folder/prefect DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false

venv/bin/python -W ignore - <<'PYTHON'
import os
import subprocess
import sys

from prefect.utilities.hashing import hash_objects

program = "from prefect.utilities.hashing import hash_objects as h; print(h({'a', 'b', 'c'}), h(['a', 'b', 'c']))"
seen = [subprocess.check_output([sys.executable, "-c", program], env=os.environ | {"PYTHONHASHSEED": str(seed)}, text=True).split() for seed in range(4)]
sets, lists = (len(set(keys)) for keys in zip(*seen, strict=True))
print("keys of the set:", sets, "of the list:", lists)
assert hash_objects((1, 2)) == hash_objects([1, 2]) and hash_objects({1: "a"}) == hash_objects({"1": "a"}), "changed: JSON"
assert lists == 1 and sets > 1, "changed: sets"
PYTHON
