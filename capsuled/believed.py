"""The latest moment that is known to have passed, by the journal; and what time tokens are judged by.

An entry's time is its machine's clock, and that may have been fast: a board that had Windows keeps the local time, and
begins hours ahead of UTC. It is believed where another clock has agreed: behind the entry of a boot in which a server
set it, and at a call whose token was good. The operating system's clock is never set behind that, so that no token
becomes good anew; an entry of a boot in which nobody agreed stops no server from setting it right. A hosted daemon has
no say in its machine's clock. It believes it over the journal, and knows all tokens that it can make good anew.
"""

import logging
import time
from collections.abc import Callable

from capsuled.last_entries import STARTED, last_of_boot
from capsuled.set_back import BEHIND_NS, ITS_HOST
from capsuled.startup import token_of
from capsuled.tokens import SKEW_S
from capsuled.utc import utc_text
from journal.clock import Clock
from journal.codec import plain
from journal.entry import MalformedEntry, Stored
from journal.events import CallAccepted, ClockStepped, StreamOpened, type_of
from journal.reader import Reader

log = logging.getLogger(__name__)

LOOKED_AT = 512
"""Calls of its own machine, in a row, after which a hosted daemon looks no further for one that had a token."""


def believed_ns(reader: Reader) -> int:
    """In nanoseconds since the epoch; 0 where nobody ever agreed. Raises MalformedEntry."""
    return max(_set_ns(reader), _called_ns(reader, None))


def host_believed_ns(reader: Reader) -> int:
    """The same where nobody but the machine's owner keeps its clock; after so many calls without a token, the time of
    the last one that was looked at. Raises MalformedEntry."""
    return _called_ns(reader, LOOKED_AT)


def or_last(ask: Callable[[Reader], int], reader: Reader | None, last_ns: int) -> int:
    """What `ask` says. Where the journal cannot be read so far back, its last entry bounds it, from `last_ns`."""
    try:
        return 0 if reader is None else ask(reader)
    except MalformedEntry as error:
        log.warning("the last entry bounds what time is taken, though its clock may have been fast: %s", error)
        return last_ns


def host_time(known_ns: int, wall_ns: Callable[[], int] = time.time_ns) -> Callable[[], int]:
    """What tokens are judged by on a host: its clock, also where it is behind what the journal knows when the daemon
    starts, for a former boot's may have been fast. It is not followed further back than used tokens were read back for
    (front.take_over): set so far back later on, it stands until the daemon starts again."""
    least_ns = min(wall_ns(), known_ns)
    return lambda: max(wall_ns(), least_ns)


def clock_behind(last_ns: int, wall_ns: int, stamp_ns: int) -> str:
    """What to warn of where the clock is behind the journal's last entry, which is from `last_ns`; else empty. New ones
    get the time `stamp_ns`."""
    if last_ns - wall_ns <= BEHIND_NS:
        return ""
    follows = (
        "times in the history run back once"
        if stamp_ns - wall_ns <= BEHIND_NS
        else "entries get that time until it has come, or a call over the network has acted and the daemon starts again"
    )
    return (
        f"this machine's clock says {utc_text(wall_ns)}, and the journal has an entry from {utc_text(last_ns)}: one of "
        "them is wrong. If it is the clock, set it right (`timedatectl` says who keeps it). If it was fast before, "
        f"nothing is to be done: calls over the network are judged by this machine's clock, and {follows}"
    )


async def warnings(clock: Clock, before_ns: int, last_ns: Callable[[], int]) -> tuple[str, ...]:
    """Of a host's clock. `before_ns`: when the last entry was written that this life of the daemon has found, `last_ns`
    the last one of its own."""
    behind = clock_behind(max(before_ns, last_ns()), time.time_ns(), clock.wall_ns())
    return (behind,) if behind else ()


def _set_ns(reader: Reader) -> int:
    """The end, so far, of the last boot in which a server of the time set the clock."""
    told = reader.newest_of_type(type_of(ClockStepped))
    stepped = next((one for one in told if plain(one).get("server") != ITS_HOST), None)
    return 0 if stepped is None else _last_of_its_boot(reader, stepped).header.at


def _last_of_its_boot(reader: Reader, entry: Stored) -> Stored:
    boot, behind = entry.header.boot, None
    for started in reader.newest_of_type(STARTED):
        if started.header.seq < entry.header.seq or started.header.boot == boot:
            break
        behind = started.header.seq
    return last_of_boot(reader, boot, behind) or entry


def _called_ns(reader: Reader, most: int | None) -> int:
    """A token that was good told a time as well, within what two clocks may be apart. The last one to do so counts:
    one before may have been a fast clock's, of a client on the same machine."""
    return max(_last_token(reader, type_of(kind), most) for kind in (CallAccepted, StreamOpened))[1]


def _last_token(reader: Reader, tag: str, most: int | None) -> tuple[int, int]:
    """The entry, and the time."""
    for count, stored in enumerate(reader.newest_of_type(tag), 1):
        seq, at = stored.header.seq, stored.header.at
        jti, expiry = token_of(stored) if stored.header.actor.kind == "operator" else ("", 0)
        if jti:
            # The entry may have been written while the wall stood at a time that had not come yet: its token was not.
            return seq, min(at, expiry * 1_000_000_000) - SKEW_S * 1_000_000_000
        if count == most:
            return seq, at
    return 0, 0
