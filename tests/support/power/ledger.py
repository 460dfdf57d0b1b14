"""The ledger of a life: what was promised, kept where the power stays on; and how much of it the disk was told of.

One JSON object a line. What was answered has its number under `ack`; the counter in ACKS is raised after that line.
"""

import mmap
from pathlib import Path
from typing import Any

import msgspec


class Ledger:
    """Written while a life goes on."""

    def __init__(self, path: Path, acks: Path) -> None:
        self._file = path.open("ab", buffering=0)
        with acks.open("r+b") as counter:
            self._counter = mmap.mmap(counter.fileno(), 8)
        self.count = 0

    def note(self, **line: Any) -> None:
        """What is under way: a power cut may show it or not."""
        self._file.write(msgspec.json.encode(line) + b"\n")

    def answered(self, **line: Any) -> None:
        """What was promised: every power cut from here on must show it."""
        self.count += 1
        self.note(ack=self.count, **line)
        self._counter[:8] = self.count.to_bytes(8, "little")


def lines(ledger: Path) -> list[dict[str, Any]]:
    """All of a ledger."""
    return [msgspec.json.decode(line) for line in ledger.read_bytes().splitlines()]
