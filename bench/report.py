"""Rows of figures: printed as a table, kept in build/bench.json."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path

import msgspec

BUILD = Path(__file__).resolve().parent.parent / "build"


class Row(msgspec.Struct, frozen=True):
    """One figure beside one peer's. `bar` is what the ratio must be: `>=0.5` or `<=1.5`; empty for information."""

    name: str
    value: float
    unit: str
    peer: str
    peer_value: float
    ratio: float
    bar: str = ""
    note: str = ""

    @property
    def good(self) -> bool:
        """Whether the ratio keeps its bar."""
        if not self.bar:
            return True
        limit = float(self.bar[2:])
        return self.ratio >= limit if self.bar.startswith(">=") else self.ratio <= limit


def row(name: str, value: float, unit: str, peer: str, peer_value: float, bar: str = "", note: str = "") -> Row:
    """A row; the ratio is value over peer."""
    return Row(name, value, unit, peer, peer_value, value / peer_value if peer_value else 0.0, bar, note)


def in_turn(rounds: int, *measures: Callable[[], float]) -> list[float]:
    """Medians of several measures, taken in turn, so that what the machine does meanwhile hits all alike."""
    taken: list[list[float]] = [[] for _ in measures]
    for number in range(rounds):
        order = range(len(measures)) if number % 2 == 0 else reversed(range(len(measures)))
        for index in order:
            taken[index].append(measures[index]())
    return [statistics.median(values) for values in taken]


def show(one: Row) -> None:
    """Print a row."""
    mark = "" if not one.bar else ("ok" if one.good else "MISSED")
    print(
        f"{one.name:<22} {one.value:>12,.2f} {one.unit:<10} {one.peer:<22} {one.peer_value:>12,.2f} "
        f"{one.ratio:>7.2f}  {one.bar:<7} {mark:<7} {one.note}",
        flush=True,
    )


def save(rows: list[Row]) -> None:
    """Write build/bench.json."""
    plain = [
        {key: value for key, value in msgspec.to_builtins(one).items() if key not in ("bar", "note")} for one in rows
    ]
    (BUILD / "bench.json").write_text(json.dumps(plain, indent=2) + "\n")
