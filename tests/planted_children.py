"""Customers and their orders, as a generator of both learns them."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from gan_core.kinds.children import Children
from gan_core.kinds.schema import GAP, Column, Invented, Schema

ROWS = 400
COLUMNS = (
    Column("amount", "number", "float64"),
    Column("item", "category", "string", ("book", "game")),
    Column("rating", "category", "string", ("bad", "good", GAP)),
    Column("weight", "number", "int64", missing=0.5),
)


@cache
def planted() -> tuple[Schema, NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """The schema, fitted, the packed rows, the children as in their file, and whose they are: 0 to 3 of each row, of at most 5."""
    random = np.random.default_rng(0)
    ages = random.normal(40, 10, ROWS).round()
    owners = np.repeat(np.arange(ROWS), np.arange(ROWS) % 4)
    random.shuffle(owners)
    amounts = random.normal(ages[owners], 1).round(2)
    weights = np.where(random.random(len(owners)) < 0.5, np.nan, random.integers(1, 90, len(owners)))
    children = np.column_stack([amounts, random.integers(0, 2, len(owners)), random.integers(0, 3, len(owners)), weights])
    keyed = Children(
        "orders", "customers", "id", "customer", 1, COLUMNS, 5, (Invented("order", "id", pattern=("", ""), first=7, dtype="int64"),)
    )
    packed = keyed.packed(owners, children, ROWS)
    named = (Invented("id", "id", pattern=("C-", ""), first=1),)
    schema = Schema((Column("age", "number", "int64"), *keyed.described(packed)), invented=named, children=keyed)
    rows = np.column_stack([ages, packed])
    return schema.fitted(rows, None, 0), rows, children, owners
