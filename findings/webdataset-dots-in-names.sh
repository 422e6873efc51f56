#!/usr/bin/env bash
# Guess: clip0.5.png and clip0.7.png are two samples, each with a "png".
# Version: webdataset 1.0.2.
# Behaviour: the key ends at the first dot of the file's name, so both are one sample, clip0, with the fields "5.png" and "7.png", and no "png". Dots in folders do not count.
# Seen: [('clip0', '5.png', '7.png')] and [('v1.0/a', 'png')].
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


def samples(*names):
    with tarfile.open("shard.tar", "w") as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = 1
            tar.addfile(entry, io.BytesIO(b"x"))
    return [(sample["__key__"], *(field for field in sample if not field.startswith("__"))) for sample in webdataset.WebDataset("shard.tar", shardshuffle=False)]


print(samples("clip0.5.png", "clip0.7.png"), samples("v1.0/a.png"))
assert samples("clip0.5.png", "clip0.7.png") == [("clip0", "5.png", "7.png")], "changed"
assert samples("v1.0/a.png") == [("v1.0/a", "png")]
PYTHON
