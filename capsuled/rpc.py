"""What every call has in common: who calls, how an error becomes a status, and which reads are noted.

An error leaves with a status, a message for people (what, why, what to do next), and `capsule-reason` and
`capsule-fields` in the trailing metadata for machines.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc

from capsuled.engine import Caller
from capsuled.wire import args_hash
from effects.errors import DriverError
from journal.entry import LOCAL
from journal.errors import JournalError
from projections.refusals import Refusal

log = logging.getLogger(__name__)

_JOURNAL_STATUS = {
    "JOURNAL_FULL": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "JOURNAL_FAILED": grpc.StatusCode.UNAVAILABLE,
}
_DRIVER_STATUS = {
    "RUNTIME_UNAVAILABLE": grpc.StatusCode.UNAVAILABLE,
    "IMAGE_MISSING": grpc.StatusCode.NOT_FOUND,
    "IMAGE_UNREADABLE": grpc.StatusCode.INVALID_ARGUMENT,
    "ENTRYPOINT_MISSING": grpc.StatusCode.INVALID_ARGUMENT,
    "BAD_USER": grpc.StatusCode.INVALID_ARGUMENT,
    "NO_SPACE": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "NOT_RUNNING": grpc.StatusCode.FAILED_PRECONDITION,
    "DRIVER_LACKS": grpc.StatusCode.UNIMPLEMENTED,
}


class Refused(Exception):
    """Raised by a servicer to end a call with a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def refuse(code: str, reason: str, message: str, *fields: str) -> NoReturn:
    """End the call."""
    raise Refused(Refusal(code, reason, message, fields))


def caller_of(context: Any, method: str, request: Any = None) -> Caller:
    """The unix socket is the local way in: whoever may open it is root's equal. The login name is unverified."""
    metadata = dict(context.invocation_metadata() or ())
    call_id = str(metadata.get("capsule-call-id", ""))[:128]
    return Caller(
        actor=LOCAL,
        method=method,
        call_id=call_id,
        args_hash=args_hash(request) if call_id and request is not None else "",
        login=str(metadata.get("capsule-login", ""))[:64],
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
            code = _DRIVER_STATUS.get(error.reason, grpc.StatusCode.INTERNAL)
            return code, error.reason, error.message, ()
        case _:
            number = uuid.uuid4().hex[:8]
            log.error("internal error %s", number, exc_info=error)
            message = (
                f"something went wrong inside capsuled (error {number}): `capsulectl capsule logs` has the details"
            )
            return grpc.StatusCode.INTERNAL, "INTERNAL", message, ()


async def _abort(context: Any, error: BaseException) -> NoReturn:
    code, reason, message, fields = status_of_error(error)
    trailing = (("capsule-reason", reason), *((("capsule-fields", ",".join(fields)),) if fields else ()))
    await context.abort(code, message, trailing_metadata=trailing)
    raise AssertionError("abort raises")


Note = Callable[[str, Any, Any], None]
"""Called with (method, request, context) after a unary call that succeeded."""


class Interceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Maps errors, and hands finished unary calls to `note`."""

    def __init__(self, note: Note) -> None:
        self._note = note

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """Wrap the handler that grpc found."""
        handler = await continuation(details)
        if handler is None:
            return None
        method = details.method.removeprefix("/capsule.v1.")
        wrapped: Callable[..., Any]
        if handler.unary_unary:
            wrapped, make = self._single(handler.unary_unary, method), grpc.unary_unary_rpc_method_handler
        elif handler.stream_unary:
            wrapped, make = self._single(handler.stream_unary, method), grpc.stream_unary_rpc_method_handler
        elif handler.unary_stream:
            wrapped, make = self._stream(handler.unary_stream, method), grpc.unary_stream_rpc_method_handler
        else:
            wrapped, make = self._stream(handler.stream_stream, method), grpc.stream_stream_rpc_method_handler
        return make(wrapped, handler.request_deserializer, handler.response_serializer)

    def _single(self, handle: Callable[..., Awaitable[Any]], method: str) -> Callable[..., Awaitable[Any]]:
        async def guarded(request: Any, context: Any) -> Any:
            try:
                answer = await handle(request, context)
            except (asyncio.CancelledError, grpc.aio.AbortError):
                raise
            except Exception as error:
                await _abort(context, error)
            self._note(method, request, context)
            return answer

        return guarded

    def _stream(self, handle: Callable[..., AsyncIterator[Any]], method: str) -> Callable[..., AsyncIterator[Any]]:
        async def guarded(request: Any, context: Any) -> AsyncIterator[Any]:
            self._note(method, request, context)
            try:
                async for item in handle(request, context):
                    yield item
            except (asyncio.CancelledError, grpc.aio.AbortError):
                raise
            except Exception as error:
                await _abort(context, error)

        return guarded
