"""Open streams by the key that opened them: removing a key ends them all, lowering its role what acts or is too much.
No key has so many, or so many calls of another kind, that others find no room. And whatever handles a call, which the
daemon's end waits for.

What acts ends at any lowering: what it was let in to, for example a shell in a privileged workload, may have taken more
than its method does.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from capsuled.limits import Limits
from capsuled.roles import Rule
from capsuled.rpc import refuse
from projections.refusals import Refusal, refused
from projections.rights import may

log = logging.getLogger(__name__)


class _Stream:
    def __init__(self, task: "asyncio.Task[object]", role: str, rule: Rule) -> None:
        self.task = task
        self.role = role
        self.rule = rule
        self.cut: Refusal | None = None


def taken_back(held: str, role: str, rule: Rule) -> Refusal | None:
    """Why a call that came in under the role `held` may not go on now that its key has `role` (empty: it is no key any
    more), or None."""
    if rule.role == "open" or not role:
        return refused("UNAUTHENTICATED", "KEY_REMOVED", "this key was removed while the call was under way")
    if may(role, rule.role) and not (rule.acts and not may(role, held)):
        return None
    message = f"this key was lowered from {held} to {role} while the call was under way: call again"
    return refused("PERMISSION_DENIED", "ROLE_LOWERED", message)


class LiveStreams:
    """Every stream over the network that is open now, and every task that handles a call."""

    def __init__(self) -> None:
        self._by_key: dict[str, set[_Stream]] = {}
        self._silent = Counter[str]()
        self._asking = Counter[str]()
        self._handlers: set[asyncio.Task[object]] = set()

    def entered(self) -> None:
        """The current task handles a call that was let in."""
        task = asyncio.current_task()
        if task is not None and task not in self._handlers:
            self._handlers.add(task)
            task.add_done_callback(self._handlers.discard)

    async def closed(self, within_s: float) -> None:
        """All that handle a call have put away what they had. gRPC waits for none that it has cancelled."""
        if self._handlers:
            await asyncio.wait(self._handlers, timeout=within_s)
        if self._handlers:
            log.warning("%d calls have not put away what they had", len(self._handlers))

    def check(self, kid: str, limits: Limits) -> None:
        """Raises Refused when this key has as many streams as it may have."""
        if len(self._by_key.get(kid, ())) >= limits.streams_each:
            words = f"this key has {limits.streams_each} streams open: end some of them, or call with another key"
            refuse("RESOURCE_EXHAUSTED", "TOO_MANY_STREAMS", words)

    @contextmanager
    def silent(self, kid: str, limits: Limits) -> Iterator[None]:
        """Count a call of this key that has not said yet what it wants, or is not asked any more. Raises Refused when
        there are as many as there may be."""
        if self._silent[kid] >= limits.silent_each:
            words = f"{limits.silent_each} calls of this key have sent no message yet: end some of them"
            refuse("RESOURCE_EXHAUSTED", "TOO_MANY_SILENT", words)
        with _counted(self._silent, kid):
            yield

    @contextmanager
    def asking(self, kid: str, limits: Limits) -> Iterator[None]:
        """Count a call of one message of this key until it is answered. Raises Refused when there are as many as there
        may be."""
        if self._asking[kid] >= limits.calls_each:
            words = f"{limits.calls_each} calls of this key are under way: wait for some of them, then call again"
            refuse("RESOURCE_EXHAUSTED", "TOO_MANY_CALLS", words)
        with _counted(self._asking, kid):
            yield

    @contextmanager
    def opened(self, kid: str, role: str, rule: Rule) -> Iterator[_Stream]:
        """Count the current task as a stream of this key, whose role it came in under. Its `cut` says, on
        cancellation, why."""
        task = asyncio.current_task()
        assert task is not None
        stream = _Stream(task, role, rule)
        self._by_key.setdefault(kid, set()).add(stream)
        try:
            yield stream
        finally:
            streams = self._by_key[kid]
            streams.discard(stream)
            if not streams:
                del self._by_key[kid]

    def cut(self, kid: str, role: str = "") -> int:
        """End those of this key's streams that may not go on under `role` (none, by default). Returns how many."""
        ended = 0
        for stream in self._by_key.get(kid, ()):
            why = None if stream.cut else taken_back(stream.role, role, stream.rule)
            if why is not None:
                stream.cut = why
                stream.task.cancel()
                ended += 1
        return ended

    def keys(self) -> tuple[str, ...]:
        """The keys that have streams open."""
        return tuple(self._by_key)


@contextmanager
def _counted(of: Counter[str], kid: str) -> Iterator[None]:
    of[kid] += 1
    try:
        yield
    finally:
        of[kid] -= 1
        if not of[kid]:
            del of[kid]
