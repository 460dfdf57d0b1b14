"""How a command ends badly."""

FAILED = 1
USAGE = 2
DIFFERS = 1
TIMED_OUT = 124
EXEC_FAILED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127
INTERRUPTED = 130


class Failure(Exception):
    """Ends the command with `code`, after printing `message` (nothing, if empty)."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
