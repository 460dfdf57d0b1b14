"""Asking until there is an answer: what a client does whose connection broke, or whose capsule has no room just now."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from effects.errors import DriverError
from journal.errors import JournalFull, JournalReadOnly
from tests.simulation.life import Crash, Life

if TYPE_CHECKING:
    from tests.simulation.machine import Simulation

T = TypeVar("T")


async def answered(
    simulation: "Simulation", call: Callable[[Life], Coroutine[Any, Any, T]], asked: tuple[str, ...] = ()
) -> T:
    """The answer to a call, which is made with its id again as often as a daemon dies over it. `asked` names the call by
    actor, method and object: its entry is durable when it is answered."""
    while True:
        await simulation.alive.wait()
        life = simulation.life
        assert life is not None
        try:
            answer = await life.guarded(call(life))
            life.log.judge_durable(*asked)
            return answer
        except (Crash, DriverError):
            await simulation.loop.sleep(0.01)
        except (JournalFull, JournalReadOnly):
            await asyncio.sleep(1)


async def impatient(simulation: "Simulation", call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The answer to a call over whose connection some lose patience: they ask again while it is still carried out."""
    if simulation.random.random() < 0.9:
        return await call()
    first = asyncio.ensure_future(call())
    try:
        await asyncio.sleep(simulation.random.choice((0.0, 0.0005, 0.002)))
        if simulation.random.random() < 0.5:
            first.cancel()  # the connection is gone, and with it whoever carried the call out
        return await call()
    finally:
        first.cancel()  # the daemon may have died over both
        await asyncio.wait((first,))
        first.cancelled() or first.exception()
