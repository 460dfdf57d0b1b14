"""`capsulectl exec`: a further process inside a workload; its exit code becomes ours."""

import os
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import grpc
from cyclopts import Parameter

from capsule.v1 import workload_pb2 as pb
from capsulectl.connection import Connection, failure_of, metadata, reason_of
from capsulectl.errors import EXEC_FAILED, INTERRUPTED, NOT_EXECUTABLE, NOT_FOUND, USAGE, Failure
from capsulectl.options import COMMON, Common, Name

CHUNK_BYTES = 4_096
"""What clients in the field send at most in one message of standard input."""


def exec_(
    name: Name,
    /,
    *command: Annotated[str, Parameter(help="The command and its arguments.", allow_leading_hyphen=True)],
    interactive: Annotated[
        bool, Parameter(name=["-i", "--interactive"], negative="", help="Pass our standard input on.")
    ] = False,
    env: Annotated[
        list[str], Parameter(name=["-e", "--env"], negative="", help="NAME=VALUE, beside the workload's own.")
    ] = [],  # noqa: B006 - never written to
    common: Common = COMMON,
) -> int:
    """Run a command inside a workload. Exits with its code; 125 when it could not be tried, 126 and 127 as a shell.

    Example: capsulectl exec web -- sh -c 'ls /var'
    """
    if not command:
        raise Failure("nothing to run: `capsulectl exec NAME -- COMMAND`", USAGE)
    config = pb.WorkloadExecConfig(name=name, command=list(command), env=dict(_pair(one) for one in env))
    try:
        connection = Connection(common.capsule)
    except Failure as failure:
        raise Failure(failure.message, EXEC_FAILED) from failure
    call = connection.workloads.Exec(_messages(config, interactive), metadata=metadata())
    try:
        for message in call:
            match message.WhichOneof("payload"):
                case "stdout":
                    _write(sys.stdout, message.stdout)
                case "stderr":
                    _write(sys.stderr, message.stderr)
                case "exit":
                    return int(message.exit.exit_code)
    except grpc.RpcError as error:
        raise _exec_failure(error, connection.address) from error
    except KeyboardInterrupt:
        call.cancel()
        return INTERRUPTED
    return 0


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise Failure(f"--env {text!r} is not NAME=VALUE", USAGE)
    return name, value


def _messages(config: Any, interactive: bool) -> Iterator[Any]:
    """The config, then our standard input as it comes, and its end."""
    yield pb.WorkloadExecClientMessage(config=config)
    if interactive:
        while data := os.read(sys.stdin.fileno(), CHUNK_BYTES):
            yield pb.WorkloadExecClientMessage(stdin=data)


def _write(target: Any, data: bytes) -> None:
    target.buffer.write(data)
    target.buffer.flush()


def _exec_failure(error: Any, address: str) -> Failure:
    failure = failure_of(error, address)
    if reason_of(error) == "ENTRYPOINT_MISSING":
        code = NOT_EXECUTABLE if "not executable" in failure.message else NOT_FOUND
        return Failure(failure.message, code)
    return Failure(failure.message, failure.code if failure.code == INTERRUPTED else EXEC_FAILED)
