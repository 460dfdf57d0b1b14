"""A coroutine that runs up to its first wait at once, in the task that makes it, and on when that task awaits it.

`asyncio.create_task` would begin it only when the loop is free again, and its end would take two more turns of it.
"""

from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Begun(Generic[T]):
    """To be awaited once, or closed."""

    def __init__(self, coroutine: Coroutine[Any, None, T]) -> None:
        self._coroutine = coroutine
        self._waits_for: Any = None
        self._ended: StopIteration | None = None
        try:
            self._waits_for = coroutine.send(None)
        except StopIteration as ended:
            self._ended = ended

    def __await__(self) -> Generator[Any, None, T]:
        ended = self._ended
        while ended is None:
            # A task asks the future that it is handed, not whoever hands it on; that it comes late is nothing to it.
            try:
                try:
                    yield self._waits_for
                except BaseException as error:
                    self._waits_for = self._coroutine.throw(error)
                else:
                    self._waits_for = self._coroutine.send(None)
            except StopIteration as stop:
                ended = stop
        value: T = ended.value
        return value

    def close(self) -> None:
        """It is not waited for any more."""
        self._coroutine.close()
