#!/usr/bin/env bash
# Guess: opening a file that has been written anew gives what is in the file now.
# Version: pyvips 3.2.0, pyvips-binary 8.18.7 (libvips).
# Behaviour: libvips remembers its latest operations by their arguments, and opening a file is one, with its name for argument. Within one process the name gives the former pixels and the former size, also when pyvips itself has written the new file. revalidate=True reads it again.
# Seen: a file of 8 x 8 pixels of 10 overwritten by 16 x 16 of 200: 8 x 8 of 10; with revalidate=True 16 x 16 of 200.
# Meaning: a service or a measure that opens samples.png after each epoch under the same name goes on with the first epoch's.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet pyvips==3.2.0 pyvips-binary==8.18.7 numpy==2.4.6

venv/bin/python - <<'PYTHON'
import numpy as np
import pyvips


def write(side, grey):
    pyvips.Image.new_from_array(np.full((side, side), grey, dtype=np.uint8)).write_to_file("samples.png")


def read(**options):
    picture = pyvips.Image.new_from_file("samples.png", **options)
    return picture.width, picture.avg()


write(8, 10)
first = read()
write(16, 200)
second, checked = read(), read(revalidate=True)
print("side and mean: first", first, "overwritten", second, "with revalidate", checked)
assert first == (8, 10) and checked == (16, 200)
assert second == first, "changed: the new file is read"
PYTHON
