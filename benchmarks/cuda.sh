#!/usr/bin/env bash
# One GPU in nine minutes at most: what must hold on CUDA (tests/gan_core/test_cuda.py), then one table of speeds and memory
# (benchmarks/cuda.py). It takes a checkout and a Python that has PyTorch for CUDA, pydantic, scipy, safetensors, Pillow and pytest;
# PYTHON names another than that of .venv, or the system's where there is none.
#
#     bash benchmarks/cuda.sh | tee table.md
set -uo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || command -v python3)}
"$PYTHON" - <<'CHECK' || exit 2
import importlib.util, sys
missing = [name for name in ("torch", "pydantic", "scipy", "safetensors", "PIL", "pytest") if importlib.util.find_spec(name) is None]
if missing:
    sys.exit(f"{sys.executable} has no {', '.join(missing)}; install them there, or name another Python: PYTHON=... bash benchmarks/cuda.sh")
import torch
if not torch.cuda.is_available():
    sys.exit(f"torch {torch.__version__} of {sys.executable} finds no CUDA device here; run this where there is one, with a torch for CUDA")
CHECK
export CUBLAS_WORKSPACE_CONFIG=:4096:8 # cuBLAS sums in one order
timeout 120 "$PYTHON" -m pytest -q -p no:cacheprovider --noconftest tests/gan_core/test_cuda.py
held=$?
timeout 420 "$PYTHON" -m benchmarks.cuda --minutes 6.5 && exit $held
