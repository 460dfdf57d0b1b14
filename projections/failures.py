"""Which entries tell of something that went wrong, for who looks for just those. Pure."""

from journal.entry import Header
from journal.events import (
    CallDenied,
    CallRefused,
    DaemonCrashed,
    DaemonStarted,
    EffectFailed,
    Event,
    StreamClosed,
    VolumeLost,
    WorkloadExited,
    WorkloadHealthChanged,
    WorkloadLogDropped,
    WorkloadLost,
    WorkloadOomKilled,
    type_of,
)

_ALWAYS = (
    CallRefused, CallDenied, DaemonCrashed, EffectFailed, VolumeLost, WorkloadOomKilled, WorkloadLogDropped,
)  # fmt: skip
_SOMETIMES = (WorkloadExited, WorkloadLost, WorkloadHealthChanged, StreamClosed, DaemonStarted)

MAY_FAIL = frozenset(type_of(kind) for kind in (*_ALWAYS, *_SOMETIMES))
"""The types of such entries: no other has to be decoded."""


def failed(header: Header, event: Event) -> bool:
    """Whether the entry tells of a failure. An end that somebody asked for is none, whatever its exit code."""
    match event:
        case WorkloadExited():
            # A run that ends at once does so while its start is at work, which then is the cause.
            return (event.unasked or not header.cause) and (event.exit_code != 0 or event.oom)
        case WorkloadLost():
            return not event.unborn
        case WorkloadHealthChanged():
            return event.health == "unhealthy"
        case StreamClosed():
            return event.outcome in ("failed", "lost")
        case DaemonStarted():
            return event.previous not in ("first", "clean")
        case _:
            return isinstance(event, _ALWAYS)
