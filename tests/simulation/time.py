"""Virtual time: an event loop whose clock jumps to the next timer whenever nothing is ready."""

import asyncio
import gc
import selectors
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import Context, copy_context
from functools import partial
from heapq import heappop, heappush
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _NoSelector(selectors.BaseSelector):
    """No file is ever ready, and nobody asks."""

    def select(self, timeout: float | None = None) -> list[Any]:
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> Any:
        return None

    def unregister(self, fileobj: Any) -> Any:
        return None

    def get_map(self) -> Any:
        return {}

    def get_key(self, fileobj: Any) -> Any:
        raise KeyError


class Deadlock(Exception):
    """Raised when no timer and no ready callback is left."""


class Endless(Exception):
    """Raised when a run takes more turns than any honest one: somebody spins without waiting."""


TURNS = 200_000
THREAD_S = 0.005


class _Turn:
    """What is to be done in a turn of the loop: an asyncio.Handle without what that keeps for people who debug."""

    __slots__ = ("args", "callback", "context", "dropped")

    def __init__(self, callback: Callable[..., object], args: tuple[object, ...], context: Context | None) -> None:
        self.callback = callback
        self.args = args
        self.context = copy_context() if context is None else context
        self.dropped = False

    def cancel(self) -> None:
        """See asyncio.Handle."""
        self.dropped = True

    def cancelled(self) -> bool:
        """See asyncio.Handle."""
        return self.dropped


class _Timer(float):
    """The moment of a turn, which is what timers are ordered by, and the turn."""

    __slots__ = ("turn",)
    turn: _Turn

    def when(self) -> float:
        """See asyncio.TimerHandle."""
        return self

    def cancel(self) -> None:
        """See asyncio.Handle."""
        self.turn.dropped = True

    def cancelled(self) -> bool:
        """See asyncio.Handle."""
        return self.turn.dropped


@contextmanager
def unswept() -> Iterator[None]:
    """Without the garbage collector, which would end what dead daemons left open in the moment that memory chooses: a
    seed has one run."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _is_over(done: "asyncio.Future[None]") -> None:
    if not done.done():
        done.set_result(None)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Deterministic: ready callbacks run in order, timers by their time, and no real time passes.

    What a run needs ten thousand times is made anew here, without the base class's care for files, signals, other
    threads and slow callbacks.
    """

    def __init__(self) -> None:
        self._turns = 0
        self._now = 0.0
        super().__init__(_NoSelector())
        self._ready: deque[_Turn] = deque()
        self._scheduled: list[_Timer] = []

    get_debug = staticmethod(bool)
    """Never: each future and each task asks."""

    def time(self) -> float:
        return self._now

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
    ) -> "asyncio.Task[T]":
        return asyncio.Task(coro, loop=self, name=None if name is None else str(name), context=context)

    def call_soon(self, callback: Callable[..., object], *args: object, context: Context | None = None) -> Any:
        turn = _Turn(callback, args, context)
        self._ready.append(turn)
        return turn

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> Any:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def sleep(self, seconds: float) -> "asyncio.Future[None]":
        """What asyncio.sleep does, without a frame of its own; `seconds` are more than none."""
        done: asyncio.Future[None] = asyncio.Future(loop=self)
        self.call_at(self._now + seconds, _is_over, done)
        return done

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> Any:
        timer = _Timer(when)
        timer.turn = _Turn(callback, args, context)
        heappush(self._scheduled, timer)
        return timer

    def _run_once(self) -> None:
        """Turns, until somebody stops the loop."""
        timers, ready = self._scheduled, self._ready
        while True:
            self._turns += 1
            if self._turns > TURNS:
                raise Endless(f"more than {TURNS} turns")
            while timers and timers[0].turn.dropped:
                heappop(timers)
            if not ready:
                if not timers:
                    raise Deadlock("everybody waits and nothing will ever happen")
                self._now = max(self._now, float(timers[0]))
            due = self._now + self._clock_resolution  # type: ignore[attr-defined]
            while timers and timers[0] < due:
                ready.append(heappop(timers).turn)
            for _ in range(len(ready)):
                turn = ready.popleft()
                if turn.dropped:
                    continue
                try:
                    turn.context.run(turn.callback, *turn.args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    self.call_exception_handler({"message": "a callback failed", "exception": error})
            if self._stopping:  # type: ignore[attr-defined]
                return

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        """What is done on a thread is done at once; its result comes later, and others go on meanwhile."""
        future: asyncio.Future[T] = self.create_future()
        give: Callable[[], None]
        try:
            give = partial(future.set_result, func(*args))
        except Exception as error:
            give = partial(future.set_exception, error)

        def come() -> None:
            if not future.done():
                give()

        self.call_later(THREAD_S, come)
        return future


UPTIME_S = 1e6
"""For so long the machine had been up when the daemon first came: no later boot's clock comes to what that one's says."""


class VirtualClock:
    """A machine's clock in virtual time: wall time may jump; when power is lost the boot id changes, and the monotonic
    clock begins anew."""

    def __init__(self, loop: VirtualLoop, boot: int = 1) -> None:
        self.loop = loop
        self._boot = boot
        self._began_s = -UPTIME_S
        self.wall_offset_ns = 1_700_000_000_000_000_000

    @property
    def boot_id(self) -> str:
        return f"boot-{self._boot}"

    def reboot(self) -> None:
        self._boot += 1
        self._began_s = self.loop.time()

    def wall_ns(self) -> int:
        return self.wall_offset_ns + int(self.loop.time() * 1e9)

    def mono_ns(self) -> int:
        return int((self.loop.time() - self._began_s) * 1e9)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
