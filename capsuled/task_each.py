"""A task for each workload of which something is to be watched, and none for others. Woken by entries, never by
polling."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from capsuled.engine import Engine

T = TypeVar("T")


class TaskEach(Generic[T]):
    """`due`: what is to be watched of a workload, if anything; `watch`: the watching, until it is cancelled or has
    come to its end. `what`: what is watched, for the tasks' names. `wake` is for the engine's changes. Nothing happens
    before `run`."""

    def __init__(
        self,
        engine: Engine,
        what: str,
        due: Callable[[str], T | None],
        watch: Callable[[T], Coroutine[Any, Any, None]],
    ) -> None:
        self._engine = engine
        self._what = what
        self._due = due
        self._watch = watch
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[str, tuple[T, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for name in tuple(self._engine.machine.workloads):
                self.wake(name, 0)
            await asyncio.Event().wait()

    def wake(self, key: str, cause: int) -> None:
        """An entry changed this object: begin to watch what is due of it, or leave off."""
        due, held = self._due(key), self._tasks.get(key)
        if self._group is None or (None if held is None else held[0]) == due:
            return
        if held is not None:
            held[1].cancel()
            del self._tasks[key]
        if due is not None:
            self._tasks[key] = (due, self._group.create_task(self._watch(due), name=f"{self._what} of {key}"))
