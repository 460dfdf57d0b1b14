"""What cannot be done, as a condition of the daemon's own."""

import errno
import os

import grpc

_CODES = {
    errno.ENOENT: grpc.StatusCode.NOT_FOUND,
    errno.ENOSPC: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errno.ENOMEM: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class Refusal(Exception):
    """Raised when something cannot be done; `reason` is for machines, the message for people."""

    def __init__(self, reason: str, message: str, moved: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.moved = moved


def abort(context: grpc.ServicerContext, what: str, error: OSError) -> None:
    """End a call for what the kernel said of it. Raises."""
    code = _CODES.get(error.errno or 0, grpc.StatusCode.FAILED_PRECONDITION)
    context.abort(code, f"{what}: {os.strerror(error.errno or 0).lower()}")
