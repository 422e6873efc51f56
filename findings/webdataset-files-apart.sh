#!/usr/bin/env bash
# Guess: the files of one key make one sample, wherever they stand in the tar; or a key that comes twice is an error.
# Version: webdataset 1.0.2.
# Behaviour: only neighbours are grouped. A tar sorted by extension (all pictures, then all labels) gives twice as many samples, each a half, without a word.
# Seen: [('a', 'png'), ('b', 'png'), ('a', 'cls'), ('b', 'cls')].
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet webdataset==1.0.2

venv/bin/python -W ignore - <<'PYTHON'
import io
import tarfile

import webdataset

with tarfile.open("shard.tar", "w") as tar:
    for name in ("a.png", "b.png", "a.cls", "b.cls"):
        entry = tarfile.TarInfo(name)
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"0"))
found = [(sample["__key__"], *(field for field in sample if not field.startswith("__"))) for sample in webdataset.WebDataset("shard.tar", shardshuffle=False)]
print(found)
assert found == [("a", "png"), ("b", "png"), ("a", "cls"), ("b", "cls")], "changed"
PYTHON
