#!/usr/bin/env bash
# Guess: a stage that ran before with the same inputs is taken from the run-cache, whatever its outputs are like.
# Version: dvc 3.67.1.
# Behaviour: an output with persist: true keeps its whole stage out of the run-cache, without a word: back at an earlier parameter it runs again.
# Seen: of the parameter 1, 2, 1 the plain stage runs twice and is found in the run-cache once; the one whose output persists runs three times.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet dvc==3.67.1

export DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR="$folder/site"
dvc="$folder/venv/bin/dvc"
for persist in false true; do
    mkdir "$persist" && cd "$persist"
    "$dvc" init --no-scm --quiet
    printf 'stages:\n  copy:\n    cmd: cp params.yaml out.yaml\n    params: [width]\n    outs:\n    - out.yaml:\n        persist: %s\n' "$persist" > dvc.yaml
    for value in 1 2 1; do
        echo "width: $value" > params.yaml
        "$dvc" repro 2>&1 | grep "Stage 'copy'\|Running" | tee -a said || true
    done
    cd ..
done
[ "$(grep -c Running false/said)" = 2 ] || { echo "changed: the plain stage"; exit 1; }
[ "$(grep -c Running true/said)" = 3 ] || { echo "changed: a stage whose output persists is in the run-cache"; exit 1; }
