#!/usr/bin/env bash
# Guess: a changed parameter makes dvc repro run the stage again, whatever the parameter is called.
# Version: dvc 3.67.1.
# Behaviour: parameters named "size" or "nfiles" are left out of the key of the run-cache (as the sizes of files are), so the stage "changed", is found in the run-cache under its old key, and gets the old output, with exit code 0 and a dvc.lock that names the new value.
# Seen: "Stage 'copy' is cached", and out.yaml says 1 where params.yaml says 2; with "width" it says 2.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet dvc==3.67.1

export DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR="$folder/site"
dvc="$folder/venv/bin/dvc"
for name in size width; do
    mkdir "$name" && cd "$name"
    "$dvc" init --no-scm --quiet
    printf 'stages:\n  copy:\n    cmd: cp params.yaml out.yaml\n    params: [%s]\n    outs: [out.yaml]\n' "$name" > dvc.yaml
    for value in 1 2; do
        echo "$name: $value" > params.yaml
        "$dvc" repro | grep "Stage 'copy'\|Running" || true
    done
    echo "parameters: $(cat params.yaml), output: $(cat out.yaml)"
    cd ..
done
[ "$(cat size/out.yaml)" = "size: 1" ] || { echo "changed: size is a parameter like any other"; exit 1; }
[ "$(cat width/out.yaml)" = "width: 2" ]
