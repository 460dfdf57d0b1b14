"""Accepted calls that carried an id, and streaming calls that are open."""

from journal.entry import Header
from journal.events import CallAccepted, StreamClosed, StreamOpened
from projections.handlers import Handlers
from projections.state import CallRecord, Machine, OpenStream

KEEP_NS = 7 * 24 * 3600 * 1_000_000_000
"""How long a call id stays good, in the machine's own time; after that it is answered with *expired*, as long again."""

_RENEW_ENTRIES = 256
"""A dict is asked for its first key by way of all the holes that deleted ones left: now and then it is made anew."""


def call_accepted(machine: Machine, header: Header, event: CallAccepted) -> None:
    """Remember the call for a client that asks again, and forget those nobody may ask for any more."""
    if not event.call_id:
        return
    machine.calls[header.actor.id, event.method, event.call_id] = CallRecord(
        seq=header.seq, lived_ns=machine.lived_ns, args_hash=event.args_hash
    )
    # Insertion order is age: stop at the first that is young enough. Bounded work, and the table stays bounded.
    oldest = next(iter(machine.calls))
    if machine.calls[oldest].lived_ns + 2 * KEEP_NS < machine.lived_ns:
        del machine.calls[oldest]
        if header.seq % _RENEW_ENTRIES == 0:
            machine.calls = dict(machine.calls)


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
