#!/usr/bin/env bash
# Guess: a metadata.jsonl with captions beside folders named by class adds a column: the labels stay, and a picture without a line has an empty caption or is an error.
# Version: datasets 5.2.0, Pillow 13.0.0.
# Behaviour: with the file the labels are gone, and pictures that it does not name are left out, both without a word. drop_labels=False does not bring the labels back.
# Seen: of three pictures with labels, captions for two of them leave two, with the columns image and text, also with drop_labels=False.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet datasets==5.2.0 pillow==13.0.0 pyarrow==25.0.1 pandas==3.1.1 numpy==2.4.6

export HF_HOME="$folder/cache" HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1
venv/bin/python -W ignore - <<'PYTHON'
import json
from pathlib import Path

from datasets import load_dataset
from PIL import Image

names = ("cat/a.png", "dog/a.png", "dog/b.png")
for root in ("bare", "captioned"):
    for name in names:
        file = Path(root, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(file)
lines = [json.dumps({"file_name": name, "text": "an animal"}) for name in names[:2]]
Path("captioned", "metadata.jsonl").write_text("\n".join(lines))


def loaded(root, **options):
    rows = load_dataset("imagefolder", data_dir=root, split="train", **options)
    return len(rows), sorted(rows.column_names)


bare, captioned, asked = loaded("bare"), loaded("captioned"), loaded("captioned", drop_labels=False)
print("without the file:", bare, "with it:", captioned, "with drop_labels=False:", asked)
assert bare == (3, ["image", "label"])
assert captioned == asked == (2, ["image", "text"]), "changed: labels or pictures without a line are kept"
PYTHON
