#!/usr/bin/env bash
# Guess: with_epoch(n) ends the epoch after n samples, however many workers load them.
# Version: webdataset 1.0.2, torch 2.13.0.
# Behaviour: the count is each worker's own, as the pipeline is copied into every one. So it is n samples without workers and with one, and n times their number with more. Each epoch begins at each worker's first shard again.
# Seen: with_epoch(10) over 4 shards of 10 gives 10, 10 and 20 samples with 0, 1 and 2 workers, and the second epoch of two workers the same 20 as the first: half of the set is never seen.
# Meaning: the length of an epoch, and all that is counted in epochs (rates, checkpoints, a budget), changes with num_workers.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 webdataset==1.0.2

venv/bin/python -W ignore - <<'PYTHON'
import webdataset
from torch.utils.data import DataLoader

shards = [f"{index}.tar" for index in range(4)]
for index, shard in enumerate(shards):
    with webdataset.TarWriter(shard) as tar:
        for sample in range(10):
            tar.write({"__key__": f"{index}-{sample}", "cls": sample})

data = webdataset.WebDataset(shards, shardshuffle=False).with_epoch(10)
keys = {count: [[one["__key__"] for one in DataLoader(data, batch_size=None, num_workers=count)] for _ in range(2)] for count in (0, 1, 2)}
counts = {count: len(first) for count, (first, _) in keys.items()}
print("samples of an epoch of 10 by workers:", counts, "distinct in two epochs:", len({*keys[2][0], *keys[2][1]}))
assert counts[0] == counts[1] == 10
assert counts[2] == 20 and sorted(keys[2][0]) == sorted(keys[2][1]), "changed: 10 in all, or others in the second epoch"
PYTHON
