"""Accepted calls that carried an id, and streaming calls that are open."""

from itertools import islice

from journal.entry import Header
from journal.events import CallAccepted, StreamClosed, StreamOpened
from projections.handlers import Handlers
from projections.state import CallRecord, Machine, OpenStream

KEEP_NS = 7 * 24 * 3600 * 1_000_000_000
"""How long a call id stays good, in the machine's own time; after that it is answered with *expired*, as long again."""

CALLS_MOST = 65_536
"""So many are remembered at most, and the newest three quarters of that in any case. A client asks again within
seconds; at a call a second this is most of a day, at the most that a machine can answer half a minute. They are 27 MB
of memory and 11 MB of a snapshot."""

TIDY_CALLS = 1_024
"""How often the table is looked through: nothing is deleted call by call, for that leaves holes to step over."""


def call_accepted(machine: Machine, header: Header, event: CallAccepted) -> None:
    """Remember the call for a client that asks again, and forget those nobody may ask for any more."""
    if not event.call_id:
        return
    calls = machine.calls
    calls[header.actor.id, event.method, event.call_id] = CallRecord(
        seq=header.seq, lived_ns=machine.lived_ns, args_hash=event.args_hash
    )
    if len(calls) % TIDY_CALLS == 0:
        machine.calls = _tidied(calls, machine.lived_ns)


def _tidied(calls: dict[tuple[str, str, str], CallRecord], lived_ns: int) -> dict[tuple[str, str, str], CallRecord]:
    """Without the oldest quarter, once nobody may ask for any of it or the table is full. Insertion order is age."""
    quarter = len(calls) // 4
    youngest = next(islice(calls.values(), quarter - 1, None))
    if len(calls) < CALLS_MOST and youngest.lived_ns + 2 * KEEP_NS >= lived_ns:
        return calls
    return dict(islice(calls.items(), quarter, None))


def stream_opened(machine: Machine, header: Header, event: StreamOpened) -> None:
    """A stream that acts is open until its `closed` entry, whatever happens between."""
    machine.streams[header.seq] = OpenStream(
        method=event.method, object=event.object, opened_at=header.at, boot=header.boot
    )


def stream_closed(machine: Machine, header: Header, event: StreamClosed) -> None:
    """The stream is over."""
    machine.streams.pop(event.opened, None)


HANDLERS: Handlers = {
    CallAccepted: call_accepted,
    StreamOpened: stream_opened,
    StreamClosed: stream_closed,
}
