"""Several of a machine's streams as one, for a reader that also has to look after its own line meanwhile."""

import contextlib
from collections.abc import Iterable, Mapping
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, Protocol

from capsulectl.errors import Failure

AHEAD = 256
"""So many messages wait here; then the machine waits."""
_LOOKS_S = 0.5

ENDED = None
"""What comes of a stream after its last message."""


class Stream(Protocol):
    """Answers that come as they come. Iterating raises Failure; `cancel` ends it."""

    def __iter__(self) -> Any: ...

    def cancel(self) -> None: ...


class Feed:
    """What comes, by the name of its stream, in the order that it came."""

    def __init__(self, streams: Mapping[str, Stream]) -> None:
        self._queue: Queue[tuple[str, Any]] = Queue(AHEAD)
        self._streams = tuple(streams.values())
        self._over = Event()
        self._broken: Failure | None = None
        for name, stream in streams.items():
            Thread(target=self._pump, args=(name, stream), daemon=True).start()

    def _pump(self, name: str, stream: Iterable[Any]) -> None:
        try:
            for message in stream:
                self._put((name, message))
            self._put((name, ENDED))
        except Failure as failure:
            self._put((name, failure))

    def _put(self, item: tuple[str, Any]) -> None:
        while not self._over.is_set():
            with contextlib.suppress(Full):
                self._queue.put(item, timeout=_LOOKS_S)
                return

    def take(self, seconds: float) -> list[tuple[str, Any]]:
        """All that is there, once something is; nothing after so many seconds. Raises Failure where a stream broke,
        after all that came before it was taken."""
        taken: list[tuple[str, Any]] = []
        while self._broken is None and len(taken) < AHEAD:
            try:
                name, message = self._queue.get_nowait() if taken else self._queue.get(timeout=seconds)
            except Empty:
                return taken
            if isinstance(message, Failure):
                self._broken = message
            else:
                taken.append((name, message))
        if self._broken is not None and not taken:
            raise self._broken
        return taken

    def close(self) -> None:
        """Nothing more is asked for."""
        self._over.set()
        for stream in self._streams:
            stream.cancel()
