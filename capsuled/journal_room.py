"""How much room the journal has on its disk: what whoever looks at the machine is told of before it is full, and then.

The entries of the next days need it, and nothing else makes room for them: this one is told of early.
"""

from collections.abc import Callable

from capsuled.startup import Memory
from journal.space import Room
from journal.writer import Journal
from projections.words import bytes_text

MARK_PERCENT = 80


def room_of(memory: Memory) -> Callable[[], Room | None]:
    """None where the journal cannot be written: it takes nothing."""
    journal = memory.journal
    return (lambda: None) if journal is None else journal.room


def told(journal: Journal) -> str:
    """What to warn of now; empty while there is room."""
    return journal.shortage() or nearly_full(journal.room())


async def warnings(journal: Journal) -> tuple[str, ...]:
    """The same, as the warnings of a machine."""
    warning = told(journal)
    return (warning,) if warning else ()


def nearly_full(room: Room) -> str:
    """What to warn of where the journal has taken most of its room; else empty. Pure."""
    taken = room.size_bytes - room.available_bytes
    if taken * 100 < room.size_bytes * MARK_PERCENT:
        return ""
    percent = taken * 100 // room.size_bytes if room.size_bytes else 100
    return (
        f"the journal has taken {percent} % of what its disk has for it, {bytes_text(room.available_bytes)} are left: "
        "without room nothing can be declared. `capsulectl journal truncate --before 90d --export FILE` moves what is "
        "older into an archive on your side"
    )
