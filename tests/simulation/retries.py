"""Judges the tries at what failed: how long after a failure the next one may begin, by the manual's numbers."""

from collections.abc import Sequence

from journal.entry import Header
from journal.events import EffectFailed, Event

FIRST_MS, CAP_MS = 500, 60_000


def judge_retries(entries: Sequence[tuple[Header, Event]]) -> list[str]:
    """Each pause as long as the manual says, twice that of the one before."""
    return [
        f"{event.effect} of {event.name} is tried again {event.retry_delay_ms} ms after failure {event.attempt}"
        for _, event in entries
        if isinstance(event, EffectFailed)
        and not event.permanent
        and event.retry_delay_ms != min(FIRST_MS * 2 ** (event.attempt - 1), CAP_MS)
    ]
