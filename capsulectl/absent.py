"""What shall be deleted and is not there: nobody is asked about it, and it is told with the name that was probably
meant."""

from collections.abc import Callable, Sequence

from capsulectl.field_names import nearest
from capsulectl.prompt import asks
from capsulectl.render import say

Known = Callable[[], list[str]]
"""Asks the capsule for the names there are."""


def parted(chosen: Sequence[str], known: Known, yes: bool) -> tuple[list[str], list[str]]:
    """Each once: what somebody is asked about, and what is not there. Who is not asked at all is told afterwards."""
    names = list(dict.fromkeys(chosen))
    if not asks(yes):
        return names, []
    there = known()
    return [one for one in names if one in there], [one for one in names if one not in there]


def tell(never: Sequence[str], known: Known, what: str, quiet: bool) -> None:
    """That these were not there. `what` has {} where the name stands."""
    there = known() if never and not quiet else []
    for name in never:
        say(f"there was no {what.format(name)}{nearest(name, there)}", quiet)
