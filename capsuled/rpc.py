"""What every servicer has in common: who calls, and how an error becomes a status.

An error leaves with a status, a message for people (what, why, what to do next), and for machines a
`google.rpc.ErrorInfo` in the status details, and `capsule-reason` and `capsule-fields` in the trailing metadata.
"""

import logging
import uuid
from collections.abc import Sequence
from typing import Any, NoReturn

import grpc
from google.rpc import error_details_pb2, status_pb2

from capsuled.arguments import arguments_of
from capsuled.caller import Caller
from capsuled.session import CURRENT
from capsuled.wire import args_hash
from effects.errors import DriverError
from journal.errors import JournalError
from projections.refusals import Refusal

log = logging.getLogger(__name__)

_JOURNAL_STATUS = {
    "JOURNAL_FULL": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "JOURNAL_BUSY": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "JOURNAL_FAILED": grpc.StatusCode.UNAVAILABLE,
}
_DRIVER_STATUS = {
    "RUNTIME_UNAVAILABLE": grpc.StatusCode.UNAVAILABLE,
    "SENDER_QUIET": grpc.StatusCode.DEADLINE_EXCEEDED,
    "IMAGE_MISSING": grpc.StatusCode.NOT_FOUND,
    "IMAGE_NOT_FOUND": grpc.StatusCode.NOT_FOUND,
    "IMAGE_UNREADABLE": grpc.StatusCode.INVALID_ARGUMENT,
    "IMAGE_CORRUPT": grpc.StatusCode.DATA_LOSS,
    "WRONG_ARCHITECTURE": grpc.StatusCode.FAILED_PRECONDITION,
    "REGISTRY_UNREACHABLE": grpc.StatusCode.UNAVAILABLE,
    "REGISTRY_UNTRUSTED": grpc.StatusCode.FAILED_PRECONDITION,
    "REGISTRY_DENIED": grpc.StatusCode.FAILED_PRECONDITION,
    "ENTRYPOINT_MISSING": grpc.StatusCode.INVALID_ARGUMENT,
    "NOT_EXECUTABLE": grpc.StatusCode.INVALID_ARGUMENT,
    "BAD_USER": grpc.StatusCode.INVALID_ARGUMENT,
    "BAD_WORKING_DIR": grpc.StatusCode.INVALID_ARGUMENT,
    "MEMORY_FULL": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "NO_SPACE": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "SEAL_BROKEN": grpc.StatusCode.FAILED_PRECONDITION,
    "HOST_PATH_MISSING": grpc.StatusCode.FAILED_PRECONDITION,
    "LAYER_DAMAGED": grpc.StatusCode.FAILED_PRECONDITION,
    "NOT_RUNNING": grpc.StatusCode.FAILED_PRECONDITION,
    "GUEST_BUSY": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "GUEST_SILENT": grpc.StatusCode.FAILED_PRECONDITION,
    "VOLUME_MISSING": grpc.StatusCode.DATA_LOSS,
    "VOLUME_DAMAGED": grpc.StatusCode.DATA_LOSS,
    "VOLUME_BUSY": grpc.StatusCode.FAILED_PRECONDITION,
    "VOLUME_TOO_LARGE": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "SNAPSHOT_MISSING": grpc.StatusCode.DATA_LOSS,
    "SNAPSHOT_DAMAGED": grpc.StatusCode.DATA_LOSS,
    "SLOT_FAILED": grpc.StatusCode.DATA_LOSS,
    "LOADER_FAILED": grpc.StatusCode.DATA_LOSS,
    "DRIVER_LACKS": grpc.StatusCode.UNIMPLEMENTED,
    "BAD_ARCHIVE": grpc.StatusCode.INVALID_ARGUMENT,
    "ARCHIVE_CUT": grpc.StatusCode.INVALID_ARGUMENT,
    "PATH_BAD": grpc.StatusCode.INVALID_ARGUMENT,
    "PATH_MISSING": grpc.StatusCode.NOT_FOUND,
    "PATH_IN_THE_WAY": grpc.StatusCode.FAILED_PRECONDITION,
    "PATH_BUSY": grpc.StatusCode.FAILED_PRECONDITION,
    "NOT_A_DIRECTORY": grpc.StatusCode.FAILED_PRECONDITION,
    "NOT_COPYABLE": grpc.StatusCode.FAILED_PRECONDITION,
    "NOT_PERMITTED": grpc.StatusCode.FAILED_PRECONDITION,
    "READ_ONLY": grpc.StatusCode.FAILED_PRECONDITION,
    "CALLED_OFF": grpc.StatusCode.ABORTED,
}


DOMAIN = "capsule.v1"
"""The domain of our reasons in an ErrorInfo."""


class Refused(Exception):
    """Raised by a servicer to end a call with a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.reason = refusal.reason


def driver_status(reason: str) -> grpc.StatusCode:
    """What a driver's error means to a client, by its reason."""
    return _DRIVER_STATUS.get(reason, grpc.StatusCode.INTERNAL)


def own_kernel(name: str, why: str) -> str:
    """Why something cannot be had of a microVM that boots a kernel of its own."""
    return f"{name} boots a kernel of its own, and {why}"


def refuse(code: str, reason: str, message: str, *fields: str) -> NoReturn:
    """End the call."""
    raise Refused(Refusal(code, reason, message, fields))


def check_end(request: Any, *ends: str) -> None:
    """Raises Refused for a stream that is to go on, and to end where one of these fields says."""
    said = next((end for end in ends if getattr(request, end)), "")
    if request.follow and said:
        words = f"follow goes on from now and has no end: leave it out, or {said}"
        refuse("INVALID_ARGUMENT", "FOLLOWS_TO_AN_END", words, "follow", said)


def caller_of(context: Any, method: str, request: Any = None) -> Caller:
    """Whom the door let in, with this call's arguments. `context` is the call's own; the session is its task's."""
    session = CURRENT.get()
    return Caller(
        actor=session.actor,
        method=method,
        call_id=session.call_id,
        args_hash=args_hash(request) if session.call_id and hasattr(request, "ListFields") else "",
        login=session.login,
        peer=session.peer,
        jti=session.jti,
        token_exp=session.token_exp,
        arguments=arguments_of(request) if hasattr(request, "ListFields") else (),
        began_ns=session.began_ns,
        told=session.told,
        lost=session.lost,
    )


def status_of_error(error: BaseException) -> tuple[grpc.StatusCode, str, str, tuple[str, ...]]:
    """(status, reason, message, field paths)."""
    match error:
        case Refused(refusal=refusal):
            return grpc.StatusCode[refusal.code], refusal.reason, refusal.message, refusal.fields
        case JournalError():
            code = _JOURNAL_STATUS.get(error.reason, grpc.StatusCode.FAILED_PRECONDITION)
            return code, error.reason, str(error), ()
        case DriverError():
            return driver_status(error.reason), error.reason, error.message, ()
        case NotImplementedError():  # what a generated servicer does where ours has nothing
            return grpc.StatusCode.UNIMPLEMENTED, "NOT_IMPLEMENTED", "this release does not have this method", ()
        case _:
            number = uuid.uuid4().hex[:8]
            log.error("internal error %s", number, exc_info=error)
            message = (
                f"something went wrong inside capsuled (error {number}): `capsulectl capsule logs` has the details"
            )
            return grpc.StatusCode.INTERNAL, "INTERNAL", message, ()


STATUS_BYTES = 1_500
"""A status goes as metadata, of which clients take 8 KiB: it comes as text and in the details, and text that is not
ASCII takes three times its bytes."""

PATHS_BYTES = STATUS_BYTES // 4


def bounded(text: str) -> str:
    """As much of `text` as may stand in a status: what a client sent is named there, and it may have no end."""
    raw = text.encode(errors="replace")
    return text if len(raw) <= STATUS_BYTES else raw[:STATUS_BYTES].decode(errors="ignore") + "…"


def told_paths(fields: Sequence[str]) -> str:
    """Field paths as metadata has them, which takes printable ASCII only: what a client named may be in one. The rest
    is escaped, as in Python's strings."""
    text = "".join(one if " " <= one <= "~" else one.encode("unicode_escape").decode() for one in ",".join(fields))
    return text if len(text) <= PATHS_BYTES else f"{text[:PATHS_BYTES]}..."


async def abort(context: Any, error: BaseException) -> NoReturn:
    """End the call with what the error means."""
    code, reason, message, fields = status_of_error(error)
    message, paths = bounded(message), told_paths(fields)
    details = status_pb2.Status(code=code.value[0], message=message)
    details.details.add().Pack(
        error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata={"fields": paths} if fields else {})
    )
    trailing: list[tuple[str, str | bytes]] = [
        ("capsule-reason", reason),
        ("grpc-status-details-bin", details.SerializeToString()),
    ]
    if fields:
        trailing.append(("capsule-fields", paths))
    await context.abort(code, message, trailing_metadata=tuple(trailing))
    raise AssertionError("abort raises")
