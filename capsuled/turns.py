"""Costly questions take turns: a few are worked on at a time, the rest wait, and who asks what already waits shares
its answer. So any number of askers costs a few processes, and no answer is older than its question.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

from capsuled.rpc import refuse

QUESTIONS_MOST = 16
"""Different questions of one asker that may wait at a time."""

T = TypeVar("T")


class _Asked:
    """One question. It is worked on as long as somebody waits for the answer."""

    def __init__(self, task: "asyncio.Task[Any]", asker: str) -> None:
        self.task = task
        self.asker = asker
        self.waiting = 0


class Turns:
    """`at_once` questions are worked on at a time."""

    def __init__(self, at_once: int) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._next: dict[Hashable, _Asked] = {}

    async def ask(self, question: Hashable, work: Callable[[], Awaitable[T]], asker: str = "") -> T:
        """What `work` answers or raises, begun after this was asked; equal questions have equal `work`. Raises Refused
        when QUESTIONS_MOST of the same asker wait already: nobody has to stand behind more of his."""
        asked = self._next.get(question)
        if asked is None:
            if sum(one.asker == asker for one in self._next.values()) >= QUESTIONS_MOST:
                words = f"{QUESTIONS_MOST} replays or proofs of yours wait for their turn already: call again later"
                refuse("RESOURCE_EXHAUSTED", "TOO_MANY_QUESTIONS", words)
            asked = self._next[question] = _Asked(asyncio.create_task(self._turn(question, work)), asker)
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
