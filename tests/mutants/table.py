"""What the hunt for the planted bugs came to, and its table in docs/simulation.md."""

import re
from pathlib import Path

import msgspec

from tests.mutants.planted import MUTANTS

HERE = Path(__file__).parent
KEPT = HERE / "found.json"
PAGE = HERE.parents[1] / "docs/simulation.md"
_TABLE = re.compile(r"(?<=<!-- drawn by `make mutants` -->\n).*?(?=<!-- end -->)", re.S)
_WORDS = 90
"""More of what the simulation said would break the table's lines."""


class Found(msgspec.Struct, frozen=True):
    """How many seeds it took, counted from seed 0, and what was said of the last of them; nothing when it was not found
    in so many."""

    seeds: int
    told: str = ""

    def __str__(self) -> str:
        return str(self.seeds) if self.told else f"not in {self.seeds}"


def kept() -> dict[str, Found]:
    """By name, as far as they were hunted."""
    return msgspec.json.decode(KEPT.read_bytes(), type=dict[str, Found]) if KEPT.exists() else {}


def keep(name: str, found: Found) -> None:
    """One more, or another result for one."""
    ours = {one.name for one in MUTANTS}
    every = {known: one for known, one in {**kept(), name: found}.items() if known in ours}
    KEPT.write_bytes(msgspec.json.format(msgspec.json.encode(dict(sorted(every.items())))) + b"\n")


def table() -> str:
    """The page's own lines."""
    every = kept()
    lines = ["| bug | what goes wrong | in | seeds | what the simulation said |", "|---|---|---|---|---|"]
    for one in MUTANTS:
        found = every.get(one.name)
        seeds, told = ("not hunted", "") if found is None else (str(found), _cell(found.told))
        lines.append(f"| `{one.name}` | {one.what} | `{one.file}` | {seeds} | {told} |")
    return "\n".join(lines) + "\n"


def _cell(told: str) -> str:
    words = told.removeprefix("AssertionError: ").replace("|", "/").replace("`", "'")
    return f"{words[:_WORDS]} …" if len(words) > _WORDS else words


def drawn() -> str:
    """The page with the table of now."""
    return _TABLE.sub(lambda _: table(), PAGE.read_text())


def draw() -> None:
    """Write it there."""
    PAGE.write_text(drawn())
