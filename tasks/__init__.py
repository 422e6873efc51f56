"""The five stages: fetch, validate, train, evaluate, register, and the services they meet."""

import gc
import os
import sys

# Threads that wait for each other sleep. By default OpenMP lets them spin at every operation, which on a busy machine takes the cores from
# the threads that work: a step of a dense GAN on two threads took fifty times as long. It is read when torch is loaded, so it stands here.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A process of ours (`python -m tasks.train`) at its very beginning: what it imports next is a million objects and no garbage. It collects
# from `tasks.system.imports.all_imported` on.
if sys.argv[:1] == ["-m"]:  # so while the interpreter still looks for the module
    gc.disable()
