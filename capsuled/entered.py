"""One call that was let in: its servicer's handler, with the terms that hold for every call around it.

Requests are read here with care: what is no message is the client's error.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, NoReturn

import grpc
import msgspec
from google.protobuf.message import DecodeError, Message
from msgspec.structs import replace

from capsuled.begun import Begun
from capsuled.copy_messages import copy_chunk, copy_message
from capsuled.doors import Metadata
from capsuled.request_stream import RequestStream
from capsuled.roles import Rule
from capsuled.rpc import Refused, abort, refuse
from capsuled.session import ANONYMOUS, CURRENT, Session, address_of
from capsuled.terms import EOF, Terms, name_inside
from capsuled.wire_fields import begins, strange_field, unknown_field
from journal.entry import LOCAL
from journal.errors import JournalError
from projections.refusals import refused

READERS: dict[str, Callable[[bytes], Any]] = {"WorkloadService/CopyTo": copy_message}
WRITERS: dict[str, Callable[[Any], bytes]] = {"WorkloadService/CopyFrom": copy_chunk}
"""Methods whose messages are read and written by hand, as they carry all of somebody's data."""

WAITED_FOR = frozenset({"ImageService/Push", "CapsuleService/UpdateOS", "VolumeDataService/Import"})
"""Methods whose clients bring what others wait for, too: a layer that is pulled, room in a store, a slot."""

FOREIGN = "grpc."
"""Methods of gRPC's own services: what their messages may hold is not ours to say."""
TELLS_RELEASE = "CapsuleService/GetInfo"
"""Is answered whatever a newer client says beside it: from this it learns which release it talks to."""

_NO_MESSAGE = refused("INVALID_ARGUMENT", "NO_MESSAGE", "the call sent no message")


class Visit(msgspec.Struct, frozen=True):
    """A call as it comes to the door. `began_ns` is the monotonic moment."""

    method: str
    rule: Rule
    metadata: Metadata
    began_ns: int


class Entered:
    """One call that was let in: the servicer's handler with everything around it."""

    def __init__(self, terms: Terms, handler: Any, visit: Visit, session: Session) -> None:
        self._terms = terms
        self._handler = handler
        self._method = visit.method
        self._metadata = visit.metadata
        self._rule = visit.rule
        self._session = session
        self._is_ours = not visit.method.startswith(FOREIGN) and visit.method != TELLS_RELEASE

    def handler(self) -> Any:
        """What grpc runs. Requests come as bytes, so that bytes which are no message are the client's error."""
        inner = self._handler
        if inner.unary_unary and self._session.actor == ANONYMOUS:
            return grpc.stream_unary_rpc_method_handler(self._stranger, None, inner.response_serializer)
        if inner.unary_unary:
            return grpc.unary_unary_rpc_method_handler(self._unary_unary, None, inner.response_serializer)
        if inner.stream_unary:
            return grpc.stream_unary_rpc_method_handler(self._stream_unary, None, inner.response_serializer)
        if inner.unary_stream:
            serialize = WRITERS.get(self._method) or inner.response_serializer
            if self._session.actor == LOCAL:
                return grpc.unary_stream_rpc_method_handler(self._unary_stream, None, serialize)
            return grpc.stream_stream_rpc_method_handler(self._said_stream, None, serialize)
        return grpc.stream_stream_rpc_method_handler(self._stream_stream, None, inner.response_serializer)

    def _enter(self, context: Any) -> None:
        CURRENT.set(replace(self._session, peer=address_of(context)))
        self._terms.entered()

    def _read(self, raw: bytes) -> Any:
        self._terms.confirm(self._method, self._session, self._rule)
        deserialize = READERS.get(self._method) or self._handler.request_deserializer
        if deserialize is None:
            return raw
        try:
            return deserialize(raw)
        except (DecodeError, ValueError):
            refuse("INVALID_ARGUMENT", "BAD_MESSAGE", f"the request of {self._method} is no message of its type")

    def _know(self, message: Any) -> None:
        """Raises Refused for what was said and is not known here."""
        if self._is_ours and isinstance(message, Message) and (strange := strange_field(message)):
            raise Refused(unknown_field(strange))

    async def _end(self, request: Any, context: Any, error: BaseException) -> NoReturn:
        await self._terms.end(self._method, self._rule, request, context, error, bool(self._handler.response_streaming))

    def _messages(self, requests: AsyncIterator[bytes]) -> RequestStream:
        first = True

        def read(raw: bytes) -> Any:
            nonlocal first
            message = self._read(raw)
            if first:
                stream.name = name_inside(self._method, message) or ""
            self._know(message)
            if first:
                first = False
                self._terms.check_inside(self._method, self._session, message)
            elif isinstance(message, Message) and (twice := begins(message)):
                refuse("INVALID_ARGUMENT", "TWICE", f"the {twice} comes once, first", twice)
            return message

        stream = RequestStream(requests, read, self._terms.quiet_s if self._method in WAITED_FOR else None)
        return stream

    async def _unary_unary(self, raw: bytes, context: Any) -> Any:
        self._enter(context)
        request = None
        try:
            with self._terms.asking(self._session.actor):
                request = self._read(raw)
                self._know(request)
                answer = await self._handler.unary_unary(request, context)
                await self._terms.settle(self._rule, request)
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except Exception as error:
            await self._end(request, context, error)
        self._terms.noted(self._method, self._rule, request, context)
        self._terms.tell_head(self._metadata, self._rule, context)
        return answer

    async def _stranger(self, requests: AsyncIterator[bytes], context: Any) -> Any:
        return await self.one_message(await self._terms.heard(context), context)

    async def said(self, message: Begun[Any], context: Any) -> Any:
        """The one message of a caller with a key. gRPC would wait for it for ever, and count nobody's."""
        try:
            with self._terms.silent(self._session.actor):
                return await message
        except Refused as error:
            message.close()
            await abort(context, error)

    async def _said_stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[Any]:
        raw = await self.said(Begun(context.read()), context)
        if raw is EOF:
            await abort(context, Refused(_NO_MESSAGE))
        async with aclosing(self._unary_stream(raw, context)) as items:
            async for item in items:
                yield item

    async def one_message(self, raw: Any, context: Any) -> Any:
        """The answer to a call whose one message was read here; EOF if there was none."""
        if raw is EOF:
            await abort(context, Refused(_NO_MESSAGE))
        return await self._unary_unary(raw, context)

    async def _stream_unary(self, requests: AsyncIterator[bytes], context: Any) -> Any:
        self._enter(context)
        messages = self._messages(requests)
        with await self._counted(context) as stream:
            try:
                answer = await self._answered(messages, context)
            except asyncio.CancelledError:
                await _cut(stream, context)
                raise
            finally:
                await messages.close()
        self._terms.noted(self._method, self._rule, None, context)
        self._terms.tell_head(self._metadata, self._rule, context)
        return answer

    async def _counted(self, context: Any) -> Any:
        """One stream too many is not heard to its end: that would take the very place that it is not to have."""
        try:
            return self._terms.counted(self._session, self._rule)
        except Refused as error:
            await self._end(None, context, error)

    async def _answered(self, messages: RequestStream, context: Any) -> Any:
        try:
            return await self._handler.stream_unary(messages, context)
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except Exception as error:
            await self._end(messages, context, error)

    async def _unary_stream(self, raw: bytes, context: Any) -> AsyncGenerator[Any, None]:
        self._enter(context)
        request = None
        try:
            request = self._read(raw)
            self._know(request)
            self._terms.check_inside(self._method, self._session, request)
        except (Refused, JournalError) as error:
            await self._end(request, context, error)
        async with aclosing(self._streamed(self._handler.unary_stream, request, context)) as items:
            async for item in items:
                yield item

    async def _stream_stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[Any]:
        messages = self._messages(requests)
        try:
            async with aclosing(self._streamed(self._handler.stream_stream, messages, context)) as items:
                async for item in items:
                    yield item
        finally:
            await messages.close()

    async def _streamed(
        self, handle: Callable[..., AsyncGenerator[Any, None]], request: Any, context: Any
    ) -> AsyncGenerator[Any, None]:
        self._enter(context)
        self._terms.noted(self._method, self._rule, request, context)
        with await self._counted(context) as stream:
            try:
                async with aclosing(self._items(handle, request, context)) as items:
                    async for item in items:
                        yield item
                self._terms.tell_head(self._metadata, self._rule, context)
            except asyncio.CancelledError:
                await _cut(stream, context)
                raise

    async def _items(
        self, handle: Callable[..., AsyncGenerator[Any, None]], request: Any, context: Any
    ) -> AsyncGenerator[Any, None]:
        try:
            # A call that is cancelled between two items must end its handler now, not when it is collected.
            async with aclosing(handle(request, context)) as items:
                async for item in items:
                    yield item
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except Exception as error:
            await self._end(request, context, error)


async def _cut(stream: Any, context: Any) -> None:
    """A task that was cancelled because its key lost its right still has to tell why; any other just ends."""
    if stream is not None and stream.cut is not None:
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
        await abort(context, Refused(stream.cut))
