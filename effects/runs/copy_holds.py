"""Who is in a workload's file system by a copy, so that it can be left before that is mounted anew or unmounted.

A copy keeps what it is in mounted: a volume could not be detached, and a writable layer would be mounted twice, which
its file system does not stand. So a copy gives way, whenever a run begins, ends, or is removed.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from effects.errors import CopyFailed
from effects.runs.copy_session import CopySession

_Key = tuple[str, int]


class CopyHolds:
    """By name and uid."""

    def __init__(self) -> None:
        self._held: dict[_Key, set[CopySession]] = {}
        self._barred: Counter[_Key] = Counter()

    def enter(self, name: str, uid: int) -> CopySession:
        """A session that holds the file system until it is closed. Raises CopyFailed while nobody may enter."""
        key = (name, uid)
        if self._barred[key]:
            raise _changing(name)

        def left(session: CopySession) -> None:
            sessions = self._held.get(key, set())
            sessions.discard(session)
            if not sessions:
                self._held.pop(key, None)

        session = CopySession(left)
        self._held.setdefault(key, set()).add(session)
        return session

    @asynccontextmanager
    async def barred(self, name: str, uid: int) -> AsyncIterator[None]:
        """Nobody is in it: who was has been called off and has left, and nobody enters meanwhile."""
        key = (name, uid)
        self._barred[key] += 1
        try:
            sessions = tuple(self._held.get(key, ()))
            await asyncio.gather(*(session.call_off(_changing(name)) for session in sessions))
            yield
        finally:
            self._barred[key] -= 1
            if not self._barred[key]:
                del self._barred[key]


def _changing(name: str) -> CopyFailed:
    return CopyFailed(
        "CALLED_OFF",
        f"{name} is being started, stopped or removed, and a copy gives way to that: nothing was changed by it. "
        f"`capsulectl get {name}` shows how far it is; then copy again",
    )
