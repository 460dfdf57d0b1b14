"""How a command ends badly."""

import os

FAILED = 1
USAGE = 2
DIFFERS = 1
TIMED_OUT = 124
EXEC_FAILED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127
INTERRUPTED = 130

NO_TIMES = "NO_TIMES"
"""Why a capsule refuses times of a log that has none."""


class Failure(Exception):
    """Ends the command with `code`, after printing `message` (nothing, if empty). `reason` is the capsule's word for
    machines, where it refused."""

    def __init__(self, message: str, code: int = FAILED, reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason


class NotLetIn(Failure):
    """Raised when the capsule refuses who asks, by the key or by its role: to ask again later changes nothing."""


class Impostor(Failure):
    """Raised when who answers shows another certificate than the pinned one: an operator has to look at that."""


class Ended(BaseException):
    """Raised by a signal that ends us, where something has to be tidied up first (endings.py). `code` stands for it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


def fault(error: BaseException) -> str:
    """What to say of an error that nobody expected."""
    if os.environ.get("CAPSULE_TRACEBACK"):
        import traceback

        traceback.print_exception(error)
    return (
        f"a fault in capsulectl itself ({type(error).__name__}: {error}); `CAPSULE_TRACEBACK=1` in the environment "
        "shows where, for a report"
    )
