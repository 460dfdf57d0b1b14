"""Virtual time: an event loop whose clock jumps to the next timer whenever nothing is ready."""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from heapq import heappop
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _NoSelector(selectors.BaseSelector):
    """No file is ever ready; waiting only moves the clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.idle = False

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Deadlock("everybody waits and nothing will ever happen")
        self.now += max(timeout, 0.0)
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


class VirtualLoop(asyncio.SelectorEventLoop):
    """Deterministic: ready callbacks run in order, timers by their time, and no real time passes."""

    def __init__(self) -> None:
        self._turns = 0
        self._virtual = _NoSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def _run_once(self) -> None:
        """What the base class does, without its care for files, signals and slow callbacks: a run takes 7,000 turns."""
        self._turns += 1
        if self._turns > TURNS:
            raise Endless(f"more than {TURNS} turns")
        timers, ready, clock = self._scheduled, self._ready, self._virtual  # type: ignore[attr-defined]
        while timers and timers[0]._cancelled:
            heappop(timers)._scheduled = False
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            if not timers:
                raise Deadlock("everybody waits and nothing will ever happen")
            clock.now = max(clock.now, timers[0]._when)
        due = clock.now + self._clock_resolution  # type: ignore[attr-defined]
        while timers and timers[0]._when < due:
            timer = heappop(timers)
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

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

    def _process_events(self, event_list: Any) -> None:
        pass


UPTIME_S = 1e6
"""For so long the machine had been up when the daemon first came: no later boot's clock comes to what that one's says."""


class VirtualClock:
    """A machine's clock in virtual time: wall time may jump; when power is lost the boot id changes, and the monotonic
    clock begins anew."""

    def __init__(self, loop: VirtualLoop, boot: int = 1) -> None:
        self._loop = loop
        self._boot = boot
        self._began_s = -UPTIME_S
        self.wall_offset_ns = 1_700_000_000_000_000_000

    @property
    def boot_id(self) -> str:
        return f"boot-{self._boot}"

    def reboot(self) -> None:
        self._boot += 1
        self._began_s = self._loop.time()

    def wall_ns(self) -> int:
        return self.wall_offset_ns + int(self._loop.time() * 1e9)

    def mono_ns(self) -> int:
        return int((self._loop.time() - self._began_s) * 1e9)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
