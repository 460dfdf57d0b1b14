"""Costly questions take turns: a few are worked on at a time, the rest wait, and who asks what already waits shares
its answer. So any number of askers costs a few processes, and no answer is older than its question.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class _Asked:
    """One question. It is worked on as long as somebody waits for the answer."""

    def __init__(self, task: "asyncio.Task[Any]") -> None:
        self.task = task
        self.waiting = 0


class Turns:
    """`at_once` questions are worked on at a time."""

    def __init__(self, at_once: int) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._next: dict[Hashable, _Asked] = {}

    async def ask(self, question: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` answers or raises, begun after this was asked; equal questions have equal `work`."""
        asked = self._next.get(question)
        if asked is None:
            asked = self._next[question] = _Asked(asyncio.create_task(self._turn(question, work)))
        asked.waiting += 1
        try:
            answer: T = await asyncio.shield(asked.task)
            return answer
        finally:
            asked.waiting -= 1
            if not asked.waiting:
                asked.task.cancel()
                if self._next.get(question) is asked:
                    del self._next[question]

    async def _turn(self, question: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        async with self._slots:
            self._next.pop(question, None)
            return await work()
