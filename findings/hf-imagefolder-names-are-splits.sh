#!/usr/bin/env bash
# Guess: load_dataset("imagefolder") of folders named by class has every picture, whatever the folders and files are called.
# Version: datasets 5.2.0, Pillow 13.0.0.
# Behaviour: a word such as train, test or dev as a part of a folder's or file's name makes a split of it, and what belongs to no split is then left out, without a word. A class called "train" (beside car and bus) is all that is loaded, and without labels; a file test_1.png leaves the pictures beside it behind.
# Seen: of five pictures of bus, car and train, two and no labels; of four pictures of cat and dog, those two whose names begin with test_ and dev-.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet datasets==5.2.0 pillow==13.0.0 pyarrow==25.0.1 pandas==3.1.1 numpy==2.4.6

export HF_HOME="$folder/cache" HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1
venv/bin/python -W ignore - <<'PYTHON'
from pathlib import Path

from datasets import load_dataset
from PIL import Image


def loaded(root, *names):
    for name in names:
        file = Path(root, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(file)
    return {split: (len(rows), rows.column_names) for split, rows in load_dataset("imagefolder", data_dir=root).items()}


plain = loaded("plain", "bus/a.png", "car/a.png", "car/b.png", "tram/a.png", "tram/b.png")
vehicles = loaded("vehicles", "bus/a.png", "car/a.png", "car/b.png", "train/a.png", "train/b.png")
animals = loaded("animals", "cat/a.png", "cat/test_1.png", "dog/a.png", "dog/dev-2.png")
print("bus, car, tram:", plain, "bus, car, train:", vehicles, "cat, dog:", animals)
assert plain == {"train": (5, ["image", "label"])}
assert vehicles == {"train": (2, ["image"])}, "changed: a class may be called train"
assert sum(count for count, _ in animals.values()) == 2 and set(animals) == {"test", "validation"}, "changed"
PYTHON
