#!/usr/bin/env bash
# Guess: gc.freeze() before a program's end saves a moment, and nobody sees it.
# Version: Triton 3.9.0, as PyTorch 2.15.0's builds for GPUs bring it.
# Behaviour: with Triton imported, the end prints "nanobind: leaked 64 types!" and their names on stderr, since the interpreter's last search no longer finds them. The first optimiser of such a build imports Triton, also where there is no GPU. gc.unfreeze() before the end helps; Triton 3.7.1, of PyTorch 2.13.0, prints nothing.
# Seen: leaked 4 instances and 64 types; without gc.freeze(), and after gc.unfreeze(), nothing.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv

said() {  # what a program that imports Triton and ends with this line prints
    venv/bin/python -c "import gc, triton; $1" 2>&1
}

venv/bin/pip install --quiet triton==3.7.1
test -z "$(said "gc.freeze()")"
venv/bin/pip install --quiet triton==3.9.0
leaked=$(said "gc.freeze()")
echo "$leaked"
test -z "$(said "pass")"
test -z "$(said "gc.freeze(); gc.unfreeze()")"
grep -q "leaked 64 types" <<< "$leaked" || { echo "changed: nothing is said to be leaked" >&2; exit 1; }
