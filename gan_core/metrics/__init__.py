"""How close generated samples are to real ones.

Images are compared in the feature space of a frozen extractor (`features`): Frechet distance (`frechet`), kernel distance (`kernel`),
precision, recall, density and coverage (`manifold`), classes found and asked for (`modes`). Points are compared with the distribution
that they were drawn from (`points`).
"""
