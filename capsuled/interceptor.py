"""Stands in a door: every call of a server comes through it, before its servicer and after.

It asks the door who calls, holds the method's rule against the role, reads requests with care (what is no message is
the client's error), maps errors, notes reads, lets no answer to one out before the state that it tells of is durable,
and keeps streams so that they can be cut. gRPC asks it for a call's handler as it would ask a table of them: what gRPC
itself calls an interceptor takes three coroutines a call.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from operator import attrgetter
from typing import Any, NoReturn

import grpc
import msgspec
from google.protobuf.message import DecodeError, Message
from msgspec.structs import replace

from capsuled.begun import Begun
from capsuled.caller import Caller
from capsuled.copy_messages import copy_chunk, copy_message
from capsuled.denials import Denials
from capsuled.doors import Denied, Door, Metadata
from capsuled.engine import Engine
from capsuled.heads import HEAD, Heads
from capsuled.limits import Limits
from capsuled.live import LiveStreams
from capsuled.methods import Methods
from capsuled.request_stream import RequestStream
from capsuled.roles import INSIDE, Rule, rule_of
from capsuled.rpc import Refused, abort, caller_of, refuse, status_of_error
from capsuled.session import ANONYMOUS, CURRENT, Session, address_of
from capsuled.strangers import Strangers
from journal.clock import Clock
from journal.entry import LOCAL, SYSTEM, Actor
from journal.errors import JournalError
from journal.events import CallDenied
from projections.refusals import Refusal, refused
from projections.rights import permit_inside

TELLS = frozenset(
    {
        "WorkloadService",
        "MachineService",
        "VolumeService",
        "SnapshotService",
        "RegistryService",
        "SecretService",
        "OperatorService",
    }
)
"""Services whose reads are answered from the state that the journal's entries make up."""

EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]
"""What gRPC gives for a message that does not come."""

READERS: dict[str, Callable[[bytes], Any]] = {"WorkloadService/CopyTo": copy_message}
WRITERS: dict[str, Callable[[Any], bytes]] = {"WorkloadService/CopyFrom": copy_chunk}
"""Methods whose messages are read and written by hand, as they carry all of somebody's data."""

Note = Callable[[str, Any, Any], None]
"""Called with (method, request, context) after a unary read that succeeded, and when a streaming read begins."""


class Interceptor(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Stands in one door, before all methods."""

    def __init__(
        self,
        methods: Methods,
        door: Door,
        engine: Engine,
        denials: Denials,
        live: LiveStreams,
        note: Note,
        clock: Clock,
        limits: Limits,
        heads: Heads,
        unknown: JournalError | None = None,
    ) -> None:
        """`unknown`: why nothing can be told of the state, where it could not be read."""
        self._heads = heads
        self._methods = methods
        self._door = door
        self._engine = engine
        self._denials = denials
        self._live = live
        self._note = note
        self._clock = clock
        self._limits = limits
        self._unknown = unknown
        self._strangers = Strangers(limits.strangers, limits.strangers_each)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of the call's method, or one that denies it; None where nobody serves it."""
        details = handler_call_details
        handler = self._methods.of(details.method)
        if handler is None:
            return None
        method = details.method.removeprefix("/").removeprefix("capsule.v1.")
        visit = _Visit(method, rule_of(method), dict(details.invocation_metadata or ()), self._clock.mono_ns())
        if handler.unary_unary and self._door.proves(visit.rule):
            return grpc.stream_unary_rpc_method_handler(self._met(visit, handler), None, handler.response_serializer)
        try:
            return self._entered(visit, handler).handler()
        except Denied as denied:
            return grpc.stream_stream_rpc_method_handler(self._deny(denied, method, handler))

    def _entered(self, visit: "_Visit", handler: Any) -> "_Entered":
        session = self._door.enter(visit.method, visit.rule, visit.metadata)
        return _Entered(self, handler, visit, replace(session, began_ns=visit.began_ns))

    def tell_head(self, visit: "_Visit", context: Any) -> None:
        """Beside the answer, to a client that asks; not to one who proved nothing."""
        if HEAD in visit.metadata and visit.rule.role != "open" and (told := self._heads.told(visit.metadata)):
            context.set_trailing_metadata((*(context.trailing_metadata() or ()), *told))

    def _met(self, visit: "_Visit", handler: Any) -> Callable[..., Awaitable[Any]]:
        """Its one message comes in while the token is proven: to gRPC that is a way through two threads, which takes as
        long as a signature does. Whoever proves nothing is sent away without it."""

        async def meet(requests: Any, context: Any) -> Any:
            message = Begun(context.read())
            try:
                entered = self._entered(visit, handler)
            except Denied as denied:
                message.close()
                self._note_denied(denied, visit.method, context)
                await abort(context, denied)
            return await entered.one_message(await message, context)

        return meet

    def _note_denied(self, denied: Denied, method: str, context: Any) -> None:
        event = CallDenied(
            method=method.replace("/", "."),
            reason=denied.refusal.reason,
            code=denied.refusal.code,
            peer=address_of(context),
            jti=denied.session.jti,
            token_exp=denied.session.token_exp,
            claimed=denied.claimed,
        )
        self._denials.note(event, denied.actor)

    def _deny(self, denied: Denied, method: str, handler: Any) -> Callable[..., AsyncIterator[Any]]:
        async def deny(requests: Any, context: Any) -> AsyncIterator[Any]:
            self._note_denied(denied, method, context)
            if handler.request_streaming:
                stream = RequestStream(requests)
                try:
                    await self._hear_out(stream, handler.response_streaming, denied.actor, context)
                finally:
                    await stream.close()
            await abort(context, denied)
            yield b""

        return deny

    async def _hear_out(self, stream: RequestStream, chats: bool, actor: Actor, context: Any) -> None:
        if actor != SYSTEM:
            await stream.drain(self._limits.known, chats)
            return
        with contextlib.suppress(TimeoutError):
            async with self._strangers.waiting(address_of(context), self._limits.unknown.all_s):
                await stream.drain(self._limits.unknown, chats)

    async def heard(self, context: Any) -> Any:
        """What a caller whom nobody knows has to say; EOF if he takes too long."""
        try:
            async with self._strangers.waiting(address_of(context), self._limits.unknown.first_s):
                return await context.read()
        except TimeoutError:
            return EOF

    def noted(self, method: str, rule: Rule, request: Any, context: Any) -> None:
        """A read, for the audit stream."""
        if rule.noted:
            self._note(method, request, context)

    def check_inside(self, method: str, session: Session, message: Any) -> None:
        """Raises Refused when the caller's role does not reach into the workload that the message names. What is no
        message (a piece of an archive) names none, and is no stream's beginning: its servicer says so."""
        path = INSIDE.get(method)
        if path is not None and isinstance(message, Message):
            name = attrgetter(path)(message)
            refusal = permit_inside(session.actor.role, self._engine.machine, name)
            if refusal is not None:
                raise Refused(refusal)

    async def settle(self, rule: Rule, request: Any) -> None:
        """Whatever a read was answered from is durable, also what came to be while it was answered; so is what a dry
        run stands on. A call that acts has waited for what it tells of, and not for what others do. Raises
        JournalFailed."""
        if rule.role != "open" and (not rule.acts or getattr(request, "dry_run", False)):
            await self._engine.durable()

    async def end(
        self, method: str, rule: Rule, request: Any, context: Any, error: BaseException, chats: bool
    ) -> NoReturn:
        """A call that failed: the client hears why, and so does the journal if it was to act and nobody told it yet.
        `request` is its message or its stream; `chats`: it hears while it sends."""
        dry = getattr(request, "dry_run", False)
        if rule.acts and not dry and not CURRENT.get().told.yes and not isinstance(error, JournalError):
            code, reason, message, fields = status_of_error(error)
            refusal = Refusal(code.name, reason, message, fields)
            caller = caller_of(context, method.replace("/", "."), request)
            if caller.actor == ANONYMOUS:
                # No key was asked for, so anybody can come here as often as he likes: at the rate of a denial, then.
                self._denials.note(_denied(refusal, caller), caller.actor)
            else:
                name = getattr(request, "name", "")
                with contextlib.suppress(JournalError):
                    await self._engine.refuse(refusal, caller, (name,) if name else ())
        if isinstance(request, RequestStream):
            await request.drain(self._limits.known, chats)
        try:
            await self._engine.durable()  # a refusal tells of the state, too
        except JournalError as failure:
            error = failure
        await abort(context, error)

    def counted(self, session: Session, rule: Rule) -> Any:
        """The stream of a key can be cut; the machine's own socket has no key."""
        actor = session.actor
        return contextlib.nullcontext() if actor == LOCAL else self._live.opened(actor.id, actor.role, rule)

    def confirm(self, method: str, session: Session, rule: Rule) -> None:
        """Raises Denied when the caller has lost his right since he was let in (he may send his message late), and
        JournalError when what he asks for is not known."""
        if (lost := session.lost()) is not None:
            raise Denied(lost, session.actor, session=session)
        if self._unknown is not None and not rule.acts and method.partition("/")[0] in TELLS:
            raise self._unknown


class _Visit(msgspec.Struct, frozen=True):
    """A call as it comes to the door. `began_ns` is the monotonic moment."""

    method: str
    rule: Rule
    metadata: Metadata
    began_ns: int


class _Entered:
    """One call that was let in: the servicer's handler with everything around it."""

    def __init__(self, interceptor: Interceptor, handler: Any, visit: _Visit, session: Session) -> None:
        self._interceptor = interceptor
        self._handler = handler
        self._visit = visit
        self._method = visit.method
        self._rule = visit.rule
        self._session = session

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
            return grpc.unary_stream_rpc_method_handler(self._unary_stream, None, serialize)
        return grpc.stream_stream_rpc_method_handler(self._stream_stream, None, inner.response_serializer)

    def _enter(self, context: Any) -> None:
        CURRENT.set(replace(self._session, peer=address_of(context)))

    def _read(self, raw: bytes) -> Any:
        self._interceptor.confirm(self._method, self._session, self._rule)
        deserialize = READERS.get(self._method) or self._handler.request_deserializer
        if deserialize is None:
            return raw
        try:
            return deserialize(raw)
        except (DecodeError, ValueError):
            refuse("INVALID_ARGUMENT", "BAD_MESSAGE", f"the request of {self._method} is no message of its type")

    async def _end(self, request: Any, context: Any, error: BaseException) -> NoReturn:
        await self._interceptor.end(
            self._method, self._rule, request, context, error, bool(self._handler.response_streaming)
        )

    def _messages(self, requests: AsyncIterator[bytes]) -> RequestStream:
        first = True

        def read(raw: bytes) -> Any:
            nonlocal first
            message = self._read(raw)
            if first:
                first = False
                self._interceptor.check_inside(self._method, self._session, message)
            return message

        return RequestStream(requests, read)

    async def _unary_unary(self, raw: bytes, context: Any) -> Any:
        self._enter(context)
        request = None
        try:
            request = self._read(raw)
            answer = await self._handler.unary_unary(request, context)
            await self._interceptor.settle(self._rule, request)
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except Exception as error:
            await self._end(request, context, error)
        self._interceptor.noted(self._method, self._rule, request, context)
        self._interceptor.tell_head(self._visit, context)
        return answer

    async def _stranger(self, requests: AsyncIterator[bytes], context: Any) -> Any:
        return await self.one_message(await self._interceptor.heard(context), context)

    async def one_message(self, raw: Any, context: Any) -> Any:
        """The answer to a call whose one message was read here; EOF if there was none."""
        if raw is EOF:
            await abort(context, Refused(refused("INVALID_ARGUMENT", "NO_MESSAGE", "the call sent no message")))
        return await self._unary_unary(raw, context)

    async def _stream_unary(self, requests: AsyncIterator[bytes], context: Any) -> Any:
        self._enter(context)
        messages = self._messages(requests)
        with self._interceptor.counted(self._session, self._rule) as stream:
            try:
                answer = await self._answered(messages, context)
            except asyncio.CancelledError:
                await _cut(stream, context)
                raise
            finally:
                await messages.close()
        self._interceptor.noted(self._method, self._rule, None, context)
        self._interceptor.tell_head(self._visit, context)
        return answer

    async def _answered(self, messages: RequestStream, context: Any) -> Any:
        try:
            return await self._handler.stream_unary(messages, context)
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except Exception as error:
            await self._end(messages, context, error)

    async def _unary_stream(self, raw: bytes, context: Any) -> AsyncIterator[Any]:
        self._enter(context)
        request = None
        try:
            request = self._read(raw)
            self._interceptor.check_inside(self._method, self._session, request)
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
        self._interceptor.noted(self._method, self._rule, request, context)
        with self._interceptor.counted(self._session, self._rule) as stream:
            try:
                async with aclosing(self._items(handle, request, context)) as items:
                    async for item in items:
                        yield item
                self._interceptor.tell_head(self._visit, context)
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


def _denied(refusal: Refusal, caller: Caller) -> CallDenied:
    return CallDenied(
        method=caller.method,
        reason=refusal.reason,
        code=refusal.code,
        fields=refusal.fields,
        peer=caller.peer,
        given=tuple(path for path, _ in caller.arguments),
    )


async def _cut(stream: Any, context: Any) -> None:
    """A task that was cancelled because its key lost its right still has to tell why; any other just ends."""
    if stream is not None and stream.cut is not None:
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
        await abort(context, Refused(stream.cut))
