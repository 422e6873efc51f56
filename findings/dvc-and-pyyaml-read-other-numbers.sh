#!/usr/bin/env bash
# Guess: dvc and yaml.safe_load, which most training scripts call, read one params.yaml alike.
# Version: dvc 3.67.1, PyYAML 6.0.3.
# Behaviour: dvc reads YAML 1.2, PyYAML 1.1. 1e-3 is a number to dvc and a string to PyYAML; 010 is 10 and 8; 1:30 a string and 90; on a string and True. What dvc fills into a command by ${...} and what the script reads from the same file are then two values, and dvc.lock vouches for dvc's.
# Seen: for rate, seed, time and flip, dvc's command gets 0.001, 10, 1:30 and on; the script reads '1e-3', 8, 90 and True.
# Meaning: a stage whose command and whose script both take the seed from params.yaml train with two; write 0.001 or 1.0e-3, and no leading zero.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet dvc==3.67.1 PyYAML==6.0.3

export DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR="$folder/site"
dvc="$folder/venv/bin/dvc"
"$dvc" init --no-scm --quiet
printf 'rate: 1e-3\nseed: 010\ntime: 1:30\nflip: on\n' > params.yaml
# shellcheck disable=SC2016  # dvc expands these
printf 'stages:\n  train:\n    cmd: echo ${rate} ${seed} ${time} ${flip} > command.txt\n    outs: [command.txt]\n' > dvc.yaml
"$dvc" repro --quiet
read_by_script=$(venv/bin/python -c 'import yaml; print(*map(repr, yaml.safe_load(open("params.yaml")).values()))')
echo "command: $(cat command.txt), script: $read_by_script"
[ "$(cat command.txt)" = "0.001 10 1:30 on" ] || { echo "changed: dvc reads other values"; exit 1; }
[ "$read_by_script" = "'1e-3' 8 90 True" ] || { echo "changed: PyYAML reads other values"; exit 1; }
