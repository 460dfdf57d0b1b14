"""Open streams by the key that opened them: removing a key, or lowering its role, cuts what it has no right to."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from capsuled.roles import Rule
from projections.refusals import Refusal, refused
from projections.rights import may


class _Stream:
    def __init__(self, task: "asyncio.Task[object]", rule: Rule) -> None:
        self.task = task
        self.rule = rule
        self.cut: Refusal | None = None


class LiveStreams:
    """Every stream over the network that is open now."""

    def __init__(self) -> None:
        self._by_key: dict[str, set[_Stream]] = {}

    @contextmanager
    def opened(self, kid: str, rule: Rule) -> Iterator[_Stream]:
        """Count the current task as a stream of this key. Its `cut` says, on cancellation, why."""
        task = asyncio.current_task()
        assert task is not None
        stream = _Stream(task, rule)
        self._by_key.setdefault(kid, set()).add(stream)
        try:
            yield stream
        finally:
            streams = self._by_key[kid]
            streams.discard(stream)
            if not streams:
                del self._by_key[kid]

    def cut(self, kid: str, role: str = "") -> int:
        """End this key's streams that `role` (none, by default) does not suffice for. Returns how many."""
        if role:
            why = refused(
                "PERMISSION_DENIED", "ROLE_LOWERED", f"this key is a {role}'s now, which does not suffice here"
            )
        else:
            why = refused("UNAUTHENTICATED", "KEY_REMOVED", "this key was removed while the call was under way")
        ended = 0
        for stream in self._by_key.get(kid, ()):
            needed = stream.rule.role
            if stream.cut is None and (needed == "open" or not may(role, needed)):
                stream.cut = why
                stream.task.cancel()
                ended += 1
        return ended

    def keys(self) -> tuple[str, ...]:
        """The keys that have streams open."""
        return tuple(self._by_key)
