"""The five stages: fetch, validate, train, evaluate, register, and the services they meet."""

import os

# Threads that wait for each other sleep. By default OpenMP lets them spin at every operation, which on a busy machine takes the cores from
# the threads that work: a step of a dense GAN on two threads took fifty times as long. It is read when torch is loaded, so it stands here.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
