"""The command line of a plain list, read by hand (see plain_line.py)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from capsulectl.arguments import leading_globals
from capsulectl.plain_line import FORMATS, options

if TYPE_CHECKING:
    from capsulectl.options import Format

VERBS = frozenset({"list", "ls", "ps"})
VALUES = {"-o": "output", "--output": "output", "--capsule": "capsule"}
FLAGS = {"-q": "quiet", "--quiet": "quiet", "-a": "all", "--all": "all"}


class ListLine(NamedTuple):
    """What was asked for."""

    output: "Format" = "table"
    capsule: str = ""


def read(tokens: Sequence[str]) -> ListLine | None:
    """None for everything that is no list, or none of everything once."""
    ahead, rest = leading_globals(list(tokens))
    verb = 2 if rest[:1] == ["workload"] else 1
    if not VERBS.issuperset(rest[verb - 1 : verb] or ("",)):
        return None
    found = options([*ahead, *rest[verb:]], FLAGS, VALUES)
    if found is None:
        return None
    given = [(name, str(value)) for name, value in found if name not in ("quiet", "all")]
    output, capsule = dict(given).get("output", "table"), dict(given).get("capsule", "")
    if len(dict(given)) < len(given) or output not in FORMATS or capsule.startswith("-"):
        return None
    return ListLine(cast("Format", output), capsule)
