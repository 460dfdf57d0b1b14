"""MicroVMs: what they cost beside what they are made of. Each module of this group has a `rows` of its own."""

import importlib
from collections.abc import Iterator
from pathlib import Path

from bench.report import Row

PARTS = ("disks", "machines", "exec")


def rows(directory: Path) -> Iterator[Row]:
    """All of them."""
    for part in PARTS:
        yield from importlib.import_module(f"bench.microvms.{part}").rows(directory)
