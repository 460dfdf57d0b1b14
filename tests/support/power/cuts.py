"""What a disk may hold that lost its power: everything up to the last flush, and of the rest none, all, or some."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.support.power.record import FLUSH, operations

STYLES = ("none", "all", "half", "torn", "late")
"""Of the writes behind the last flush: none, all, each or not, each sector or not, only the later ones."""

_SECTOR = 512


class Cut(NamedTuple):
    """One loss of power: before operation `at`, when `acknowledged` calls had been answered."""

    at: int
    style: str
    acknowledged: int


def cuts(log: Path, count: int, seed: int, directory: Path) -> Iterator[tuple[Cut, Path]]:
    """`count` cuts, at random moments after the first answer, each with a file that holds what the disk would.

    Every other one is right behind an answer: there a promise is worth no more than the syncs before it.
    """
    random = Random(seed)
    moments = [(at, one.acknowledged) for at, one in enumerate(operations(log)) if one.acknowledged > 0]
    assert moments, "nothing was acknowledged while the disk recorded"
    fresh = [later for earlier, later in pairwise(moments) if later[1] > earlier[1]] or moments
    chosen = sorted(random.choice(fresh if number % 2 else moments) for number in range(count))
    content = bytearray(log.with_suffix(".base").read_bytes())
    behind: list[tuple[int, bytes]] = []
    remaining = iter(enumerate(operations(log)))
    position = 0
    for number, (at, acknowledged) in enumerate(chosen):
        while position < at:
            position, operation = next(remaining)
            position += 1
            if operation.kind == FLUSH:
                _apply(content, behind)
                behind.clear()
            else:
                behind.append((operation.offset, operation.data))
        style = random.choice(STYLES)
        left = bytearray(content)
        _apply(left, survivors(behind, style, random))
        image = directory / f"image-{number}"
        image.write_bytes(left)
        yield Cut(at, style, acknowledged), image


def survivors(behind: list[tuple[int, bytes]], style: str, random: Random) -> list[tuple[int, bytes]]:
    """What is on the disk of the writes that no flush has covered."""
    match style:
        case "all":
            return behind
        case "half":
            return [write for write in behind if random.random() < 0.5]
        case "late":
            return behind[len(behind) // 2 :]
        case "torn":
            return [
                (offset + start, data[start : start + _SECTOR])
                for offset, data in behind
                for start in range(0, len(data), _SECTOR)
                if random.random() < 0.5
            ]
    return []


def _apply(content: bytearray, writes: list[tuple[int, bytes]]) -> None:
    for offset, data in writes:
        content[offset : offset + len(data)] = data
