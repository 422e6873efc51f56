"""Words as people write them."""

from __future__ import annotations


def counted(count: int, plural: str) -> str:
    """So many of what a plural in s names.

    >>> counted(1, "sentences"), counted(2_000, "rows")
    ('1 sentence', '2,000 rows')
    """
    return f"{count:,} {plural.removesuffix('s') if count == 1 else plural}"
