"""The five stages: fetch, validate, train, evaluate, register, and the services they meet."""

import gc
import os
import sys

# Threads that wait for each other soon sleep. By default OpenMP lets them spin at every operation, which on a busy machine takes the cores
# from the threads that work: four trainings side by side got a sixth as much done. Sleeping at once costs a dense GAN a quarter of its
# rate where cores are free; 10,000 turns, some microseconds, cost neither. It is read when torch is loaded, so it stands here.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

# A process of ours (`python -m tasks.train`) at its very beginning: what it imports next is a million objects and no garbage. It collects
# from `tasks.system.imports.all_imported` on.
if sys.argv[:1] == ["-m"]:  # so while the interpreter still looks for the module
    gc.disable()
