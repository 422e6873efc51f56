#!/usr/bin/env bash
# Guess: pixel_array gives the stored samples of an uncompressed picture, and pixel_array.tobytes() put back into PixelData changes nothing.
# Version: pydicom 3.0.2, numpy 2.4.6.
# Behaviour: samples in YBR_FULL are converted to RGB, while the data set still says YBR_FULL. Written back, they are converted once more by the next reader. pixel_array(..., raw=True) of pydicom.pixels gives what is stored.
# Seen: red is stored as (76, 85, 255), read as (254, 0, 0), and as (75, 255, 27), a green, after it was written back unchanged.
# Meaning: anonymising or cropping ultrasound or endoscopy pictures for training turns their colours, and nothing in the file tells.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet pydicom==3.0.2 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import pixel_array
from pydicom.uid import ExplicitVRLittleEndian

picture = Dataset()
picture.file_meta = FileMetaDataset()
picture.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
picture.Rows, picture.Columns, picture.SamplesPerPixel, picture.PlanarConfiguration = 2, 2, 3, 0
picture.BitsAllocated, picture.BitsStored, picture.HighBit, picture.PixelRepresentation = 8, 8, 7, 0
picture.PhotometricInterpretation = "YBR_FULL"
picture.PixelData = np.full((2, 2, 3), (76, 85, 255), dtype=np.uint8).tobytes()

stored, read = pixel_array(picture, raw=True)[0, 0].tolist(), picture.pixel_array[0, 0].tolist()
picture.PixelData = picture.pixel_array.tobytes()
again, space = picture.pixel_array[0, 0].tolist(), picture.PhotometricInterpretation
print("stored:", stored, "read:", read, "read after it was written back:", again, "space:", space)
assert stored == [76, 85, 255] and space == "YBR_FULL"
assert read == [254, 0, 0] and again != read, "changed: pixel_array gives the stored samples, or the space says RGB"
PYTHON
