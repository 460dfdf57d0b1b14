"""Words to PID 1, by the pipe that it started the daemon with (init/words.py has what they mean)."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping

from init.life import START_S

log = logging.getLogger(__name__)

VARIABLE = "CAPSULE_INIT_FD"
ALIVE_S = 10.0
ANSWER_S = 5.0


class InitLink:
    """`fd` is the pipe's end; None where nobody listens, as in a test. `clock`: seconds that only run forwards."""

    def __init__(self, fd: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._fd = fd
        self._clock = clock
        self._proceeded_s = float("-inf")

    @classmethod
    def given(cls, environment: Mapping[str, str]) -> "InitLink":
        """As PID 1 gave it."""
        number = environment.get(VARIABLE, "")
        return cls(int(number) if number.isdecimal() else None)

    def say(self, word: str, number: int | None = None) -> None:
        """One word. A PID 1 that does not listen is none of ours, or the machine's end."""
        if self._fd is None:
            return
        line = word if number is None else f"{word} {number}"
        try:
            os.write(self._fd, f"{line}\n".encode())
        except OSError as error:
            log.error("PID 1 does not hear `%s`: %s", line, error.strerror)

    def proceeds(self) -> None:
        """What a start waits for comes on, so it has the time of any start from here. Said now and then, however often
        it is called: a journal that is proven and folded anew after an update may take longer than that in all."""
        now_s = self._clock()
        if now_s - self._proceeded_s >= ALIVE_S:
            self._proceeded_s = now_s
            self.say("wait", int(START_S))

    async def keep_alive(self, answers: Callable[[], Awaitable[object]]) -> None:
        """Say that the API answers for as long as it does, until cancelled. `answers` asks it, and raises where it does
        not answer rightly."""
        while True:
            try:
                async with asyncio.timeout(ANSWER_S):
                    await answers()
            except Exception as error:  # whatever it is: it is no answer, and PID 1 acts when none comes for long
                log.error("the API does not answer: %s", str(error) or type(error).__name__)
            else:
                self.say("alive")
            await asyncio.sleep(ALIVE_S)
