"""What the runtime says of a start that failed, as an operator is told it."""

import grpc
import pytest

from effects.containers.start_errors import start_error
from effects.errors import BadWorkingDir, DriverError, EntrypointMissing, MemoryTooLow, NotExecutable, StartFailed

CHAIN = "failed to create shim task: OCI runtime create failed: "
SPEC = {"process": {"args": ["serve"], "cwd": "/srv"}}


@pytest.mark.parametrize(
    ("details", "kind", "says"),
    [
        (
            f'{CHAIN}runc create failed: unable to start container process: exec: "serve": executable file not found in '
            "$PATH: unknown",
            EntrypointMissing,
            "the command `serve` does not exist in the image",
        ),
        (
            f'{CHAIN}runc create failed: unable to start container process: exec: "serve": permission denied: unknown',
            NotExecutable,
            "the command `serve` is not executable in the image",
        ),
        (
            f'{CHAIN}runc create failed: unable to start container process: exec: "/srv": is a directory: unknown',
            NotExecutable,
            "the command `serve` is not executable in the image",
        ),
        (
            f"{CHAIN}runc create failed: mkdir /srv: not a directory: unknown",
            BadWorkingDir,
            "the working directory /srv cannot be entered: not a directory",
        ),
        (
            f"{CHAIN}container init was OOM-killed (memory limit too low?): unknown",
            MemoryTooLow,
            "the memory limit is too low to start a process with: raise `resources.memory`",
        ),
        (
            f"{CHAIN}unable to retrieve OCI runtime error (open /run/log.json: no such file or directory): "
            "runc did not terminate successfully: exit status 1: unknown",
            StartFailed,
            "the runtime could not start it: runc itself ends (exit status 1) and says nothing: does `runc --version` "
            "work on the machine?",
        ),
        (
            f"{CHAIN}runc create failed: cannot set limit: device or resource busy: unknown",
            StartFailed,
            "the runtime could not start it: create failed: cannot set limit: device or resource busy",
        ),
    ],
)
def test_it_is_told_without_the_chain_of_who_called_whom(details: str, kind: type[DriverError], says: str) -> None:
    nothing = grpc.aio.Metadata()
    told = start_error(grpc.aio.AioRpcError(grpc.StatusCode.UNKNOWN, nothing, nothing, details, None), SPEC)
    assert type(told) is kind and str(told) == says
