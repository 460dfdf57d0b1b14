"""The machine's paths that an operator names: looked at, and opened, where a file system that is away holds up nobody.

A network mount whose server has gone makes who touches it wait in the kernel until that is back, which may be never.
So each touch has a thread of its own, that nobody else waits for: the event loop would stand still, and so would a pool
that others use, once its last thread waits there. The threads are daemonic, and nobody joins them: a process that is
asked to end does. A path that gives no answer keeps no more than one: who asks for it again hears of that at once.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from errno import EAGAIN
from typing import Any, TypeVar

import msgspec

from effects.errors import HostPathMissing

PATIENCE_S = 5.0
"""A disk that sleeps is there by then, and a client in the field gives a call 30 seconds."""
THREADS = 256
"""More paths than workloads bind of one server: while it is away, those of others have their turn."""

AWAY = "the server or the disk that it lies on is away or hangs"

T = TypeVar("T")


class Seen(msgspec.Struct, frozen=True):
    """What a look found: `mode` is stat's, 0 where nothing is; `silent` where there was no answer."""

    mode: int = 0
    silent: bool = False


class _Touch:
    """One touch of a path. `late`: somebody has waited for it in vain."""

    def __init__(self, path: str, do: Callable[[], Any], give_back: Callable[[Any], object] | None = None) -> None:
        self.path = path
        self.do = do
        self.give_back = give_back
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Any] = self.loop.create_future()
        self.late = False


class HostPaths:
    """Touches paths. `mode_of` is what looks at one, which may wait for ever: its mode, 0 where nothing is."""

    def __init__(self, mode_of: Callable[[str], int] | None = None) -> None:
        self._mode_of = mode_of or _mode_of
        self._looks: dict[str, _Touch] = {}
        self._openings: dict[str, _Touch] = {}
        self._waiting: deque[_Touch] = deque()
        self._threads = 0

    @property
    def hanging(self) -> int:
        """How many threads wait for an answer."""
        return self._threads

    async def look(self, paths: Iterable[str]) -> dict[str, Seen]:
        """What is there, of all within the same few seconds."""
        looks = {path: self._looks.get(path) or self._look(path) for path in paths}
        await self._answered(looks.values())
        return {path: _seen(look) for path, look in looks.items()}

    async def check(self, paths: Iterable[str], use: str) -> dict[str, int]:
        """The modes of paths that are all there. `use` says what each is for, as half a sentence. Raises
        HostPathMissing."""
        seen = await self.look(paths)
        for path, found in seen.items():
            if found.silent:
                raise _silent(path, use)
            if not found.mode:
                raise HostPathMissing(f"{path} does not exist on this machine: {use}")
        return {path: found.mode for path, found in seen.items()}

    async def opened(self, path: str, do: Callable[[], T], give_back: Callable[[T], object], use: str) -> T:
        """What `do` comes to, which opens the path, and may be closed again in `give_back` where nobody waits for it
        any more. Raises HostPathMissing when it gives no answer, BlockingIOError while it is being opened for somebody
        else, and what `do` raises."""
        before = self._openings.get(path)
        if before is not None:
            raise _silent(path, use) if before.late else BlockingIOError(EAGAIN, "it is just being opened", path)
        opening = self._openings[path] = self._begun(_Touch(path, do, give_back))
        try:
            await self._answered((opening,))
        except BaseException:
            if opening.answer.done():
                _give_back(opening)
            opening.late = True
            self._let_go(opening)
            raise
        if not opening.answer.done():
            raise _silent(path, use)
        found: T = opening.answer.result()
        return found

    def _look(self, path: str) -> _Touch:
        look = self._looks[path] = self._begun(_Touch(path, lambda: self._mode_of(path)))
        return look

    async def _answered(self, touches: Iterable[_Touch]) -> None:
        """Once all have an answer, or those that have none are late."""
        wanted = [one for one in touches if not one.late and not one.answer.done()]
        if not wanted:
            return
        await asyncio.wait([one.answer for one in wanted], timeout=PATIENCE_S)
        for one in wanted:
            if not one.answer.done():
                one.late = True
                self._let_go(one)

    def _let_go(self, touch: _Touch) -> None:
        """What had no turn among those that hang is forgotten: whoever asks again has another try."""
        if touch in self._waiting:
            self._waiting.remove(touch)
            self._forget(touch)

    # --- threads -------------------------------------------------------------------------------------------------

    def _begun(self, touch: _Touch) -> _Touch:
        if self._threads < THREADS:
            self._start(touch)
        else:
            self._waiting.append(touch)
        return touch

    def _start(self, touch: _Touch) -> None:
        _on_thread(self._run, touch)
        self._threads += 1

    def _run(self, touch: _Touch) -> None:
        """On its thread."""
        found, error = None, None
        try:
            found = touch.do()
        except Exception as raised:
            error = raised
        with suppress(RuntimeError):  # the loop is closed: nobody is there any more
            touch.loop.call_soon_threadsafe(self._over, touch, found, error)

    def _over(self, touch: _Touch, found: Any, error: Exception | None) -> None:
        self._threads -= 1
        self._forget(touch)
        if error is None:
            touch.answer.set_result(found)
        elif not touch.late:
            touch.answer.set_exception(error)
        if touch.late:
            _give_back(touch)
        while self._waiting and self._threads < THREADS:
            self._start(self._waiting.popleft())

    def _forget(self, touch: _Touch) -> None:
        for known in (self._looks, self._openings):
            if known.get(touch.path) is touch:
                del known[touch.path]


def _seen(look: _Touch) -> Seen:
    return Seen(look.answer.result()) if look.answer.done() else Seen(silent=True)


def _silent(path: str, use: str) -> HostPathMissing:
    return HostPathMissing(f"{path} does not answer, and {use}: {AWAY}. Bring that back")


def _on_thread(do: Callable[[Any], object], what: Any) -> None:
    threading.Thread(target=do, args=(what,), name="host path", daemon=True).start()


def _give_back(touch: _Touch) -> None:
    """What was opened, and nobody takes. To close it may wait there, too."""
    answer = touch.answer
    if touch.give_back is not None and answer.done() and not answer.cancelled() and answer.exception() is None:
        _on_thread(touch.give_back, answer.result())


def _mode_of(path: str) -> int:
    try:
        return os.stat(path).st_mode
    except (OSError, ValueError):
        return 0
