"""Judges the tries at what failed: how long after a failure the next one may begin, by the manual's numbers."""

from collections.abc import Sequence

from journal.entry import Header
from journal.events import EffectFailed, Event

FIRST_MS, CAP_MS = 500, 60_000
OF_DISKS = {"EnsureVolume", "RemoveVolume", "RestoreVolume", "TakeSnapshot", "RemoveSnapshot"}
"""What fails with these is a disk's trouble, which is the same in the next boot: their pauses go on."""


def judge_retries(entries: Sequence[tuple[Header, Event]]) -> list[str]:
    """Each pause as long as the manual says, twice that of the one before; and a boot begins them anew, but for
    those of disks."""
    wrong: list[str] = []
    boot, failed, given_up = "", set[tuple[str, int]](), set[tuple[str, int]]()
    for header, event in entries:
        if header.boot != boot:
            boot, failed = header.boot, set()
        if not isinstance(event, EffectFailed):
            continue
        if event.permanent or event.effect in OF_DISKS:
            given_up.add((event.name, event.uid))
        told = f"{event.effect} of {event.name} is tried again {event.retry_delay_ms} ms after failure {event.attempt}"
        if not event.permanent and event.retry_delay_ms != min(FIRST_MS * 2 ** (event.attempt - 1), CAP_MS):
            wrong.append(told)
        if event.attempt > 1 and (event.name, event.uid) not in failed | given_up:
            wrong.append(f"{told}, which is the first of its boot")
        failed.add((event.name, event.uid))
    return wrong
