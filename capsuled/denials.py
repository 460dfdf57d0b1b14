"""Denied calls become events, at a bounded rate: whoever knocks for a year fills no disk.

A burst is recorded one by one. Past it, denials are counted, and one entry with the count and the last of them is
written whenever the rate allows another; what is left when the daemon ends is written then. Calls that a known
operator has no right to have a rate of their own for each key, so that a stranger's noise does not hide them.
"""

import asyncio
import logging

from msgspec.structs import replace

from capsuled.engine import Engine
from journal.clock import Clock
from journal.entry import Actor
from journal.errors import JournalError
from journal.events import CallDenied

log = logging.getLogger(__name__)

BURST = 60
EVERY_S = 300.0
"""After a burst, one entry in so many seconds: 40 MB in a year without a pause."""


class Rate:
    """How many entries a rate allows."""

    def __init__(self, burst: int = BURST, every_s: float = EVERY_S) -> None:
        self.burst = burst
        self.every_s = every_s


class _Bucket:
    """Tokens for one kind of caller, and what waits for one."""

    def __init__(self, burst: int, now_ns: int) -> None:
        self.left = float(burst)
        self.at_ns = now_ns
        self.waiting: CallDenied | None = None
        self.timer: asyncio.TimerHandle | None = None


class Denials:
    """Records denials. Callers that are known have a bucket each (there are few keys), all strangers share one."""

    def __init__(self, engine: Engine, clock: Clock, rate: Rate | None = None) -> None:
        self._engine = engine
        self._clock = clock
        self._rate = rate or Rate()
        self._buckets: dict[Actor, _Bucket] = {}

    def note(self, event: CallDenied, actor: Actor) -> None:
        """Record one, now or with others."""
        now_ns = self._clock.mono_ns()
        bucket = self._buckets.get(actor)
        if bucket is None:
            bucket = self._buckets[actor] = _Bucket(self._rate.burst, now_ns)
        gained = (now_ns - bucket.at_ns) / 1e9 / self._rate.every_s
        bucket.left, bucket.at_ns = min(float(self._rate.burst), bucket.left + gained), now_ns
        if bucket.left >= 1 and bucket.waiting is None:
            bucket.left -= 1
            self._write(event, actor)
            return
        count = 1 if bucket.waiting is None else bucket.waiting.count + 1
        bucket.waiting = replace(event, count=count)
        if bucket.timer is None:
            due_s = (1 - bucket.left) * self._rate.every_s
            bucket.timer = asyncio.get_running_loop().call_later(due_s, self._due, actor, bucket)

    def _due(self, actor: Actor, bucket: _Bucket) -> None:
        waiting, bucket.waiting, bucket.timer = bucket.waiting, None, None
        bucket.left, bucket.at_ns = 0.0, self._clock.mono_ns()
        if waiting is not None:
            self._write(waiting, actor)

    def close(self) -> None:
        """Write what waits."""
        for actor, bucket in self._buckets.items():
            if bucket.timer is not None:
                bucket.timer.cancel()
                self._due(actor, bucket)

    def _write(self, event: CallDenied, actor: Actor) -> None:
        try:
            self._engine.record((event,), actor=actor)
        except JournalError as error:
            log.warning("%s denied from %s: %s (not journaled: %s)", event.method, event.peer, event.reason, error)
