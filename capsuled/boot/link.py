"""Words to PID 1, by the pipe that it started the daemon with (init/words.py has what they mean)."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping

log = logging.getLogger(__name__)

VARIABLE = "CAPSULE_INIT_FD"
ALIVE_S = 10.0
ANSWER_S = 5.0


class InitLink:
    """`fd` is the pipe's end; None where nobody listens, as in a test."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd

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
