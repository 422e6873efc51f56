"""Data sets as training sees them: packed arrays on disk, read through a memory map."""
