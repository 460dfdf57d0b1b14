"""The latest moment that is known to have passed, by the journal of the operating system.

An entry's time is its machine's clock, and that may have been fast: a board that had Windows keeps the local time, and
begins hours ahead of UTC. It is believed where another clock has agreed: behind the entry of a boot in which a server
set it, and at a call whose token was good. The clock is never set behind that, so that no token becomes good anew; an
entry of a boot in which nobody agreed stops no server from setting it right.
"""

from capsuled.startup import token_of
from capsuled.tokens import SKEW_S
from journal.entry import Stored
from journal.events import CallAccepted, ClockStepped, DaemonStarted, type_of
from journal.reader import Reader


def believed_ns(reader: Reader) -> int:
    """In nanoseconds since the epoch; 0 where nobody ever agreed. Raises MalformedEntry."""
    return max(_set_ns(reader), _called_ns(reader))


def _set_ns(reader: Reader) -> int:
    """The end, so far, of the last boot in which a server of the time set the clock."""
    stepped = next(reader.newest_of_type(type_of(ClockStepped)), None)
    return 0 if stepped is None else _last_of_its_boot(reader, stepped).header.at


def _last_of_its_boot(reader: Reader, entry: Stored) -> Stored:
    boot, behind = entry.header.boot, None
    for started in reader.newest_of_type(type_of(DaemonStarted)):
        if started.header.seq < entry.header.seq or started.header.boot == boot:
            break
        behind = started.header.seq
    # A boot's first entries stand before its daemon's start.
    back = reader.entries_back() if behind is None else reader.entries_back(behind - 1)
    return next((one for one in back if one.header.boot == boot), entry)


def _called_ns(reader: Reader) -> int:
    """A token that was good told a time as well, within what two clocks may be apart."""
    for stored in reader.newest_of_type(type_of(CallAccepted)):
        if stored.header.actor.kind == "operator" and token_of(stored)[0]:
            return stored.header.at - SKEW_S * 1_000_000_000
    return 0
