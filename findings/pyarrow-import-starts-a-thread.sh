#!/usr/bin/env bash
# Guess: a Python program that has only imported pandas has one thread, so it may fork (workers, daemons) as a process with one thread may.
# Version: pyarrow 25.0.1, pandas 3.1.1, Linux.
# Behaviour: the import of pyarrow, which pandas makes, loads a memory allocator that starts a thread of its own, jemalloc_bg_thd. Every fork after it is one of a process with several threads; JE_ARROW_MALLOC_CONF=background_thread:false before the import keeps the thread away.
# Seen: after `import pandas` the threads are python and jemalloc_bg_thd; with the variable python alone.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet pyarrow==25.0.1 pandas==3.1.1 numpy==2.4.6

cat > threads.py <<'PYTHON'
from pathlib import Path

import pandas

print(*sorted({(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()}))
PYTHON
export OPENBLAS_NUM_THREADS=1
usual=$(venv/bin/python -W ignore threads.py)
without=$(JE_ARROW_MALLOC_CONF=background_thread:false venv/bin/python -W ignore threads.py)
echo "threads: $usual | with background_thread:false: $without"
[[ $usual == *jemalloc_bg_thd* ]] || { echo "changed: the import starts no thread"; exit 1; }
[[ $without != *jemalloc_bg_thd* ]]
