"""The command line of a plain apply, read by hand (see plain_line.py)."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from capsulectl.arguments import leading_globals
from capsulectl.plain_line import FORMATS, options

if TYPE_CHECKING:
    from capsulectl.options import Format

VALUES = {"-f": "filename", "--filename": "filename", "-o": "output", "--output": "output", "--timeout": "timeout",
          "--expect-seq": "expect_seq", "--capsule": "capsule"}  # fmt: skip
FLAGS = {"--wait": "wait", "--dry-run": "dry_run", "--pull": "pull", "-R": "recursive", "--recursive": "recursive",
         "-q": "quiet", "--quiet": "quiet"}  # fmt: skip


class ApplyLine(NamedTuple):
    """What was asked for. `timeout` in seconds."""

    filenames: tuple[str, ...]
    recursive: bool = False
    dry_run: bool = False
    pull: bool = False
    expect_seq: int | None = None
    wait: bool = False
    timeout: float = 60
    output: "Format" = "table"
    capsule: str = ""


def read(tokens: Sequence[str]) -> ApplyLine | None:
    """None for everything that is no apply, or no plain one: each value once, whole numbers, known formats."""
    ahead, rest = leading_globals(list(tokens))
    if rest[:1] != ["apply"]:
        return None
    found = options([*ahead, *rest[1:]], FLAGS, VALUES)
    if found is None:
        return None
    filenames = tuple(str(value) for name, value in found if name == "filename")
    single = {name: value for name, value in found if name not in ("filename", "quiet")}
    repeated = len(single) < sum(name not in ("filename", "quiet") for name, _ in found)
    numbers = [(str(single[name]), figures) for name, figures in _FIGURES.items() if name in single]
    plain = (
        filenames
        and not any(value.startswith("-") and value != "-" for value in filenames)
        and not repeated
        and all(text.isascii() and text.isdecimal() and len(text) <= figures for text, figures in numbers)
        and single.get("output", "table") in FORMATS
        and not str(single.get("capsule", "")).startswith("-")
    )
    if not plain:
        return None
    return ApplyLine(filenames, **{name: _NUMBERS.get(name, _as_is)(value) for name, value in single.items()})


def _as_is(value: Any) -> Any:
    return value


_NUMBERS: dict[str, Callable[[Any], Any]] = {"timeout": float, "expect_seq": int}
_FIGURES = {"timeout": 7, "expect_seq": 18}
"""So many are certainly within bounds; what has more is the parser's to judge."""
