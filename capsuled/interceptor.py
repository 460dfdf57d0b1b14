"""Stands in a door: every call of a server comes through it.

It asks the door who calls, holds the method's rule against the role, and sends away whom it does not let in, which is
journaled; what is around a call that was let in stands in entered.py. gRPC asks it for a call's handler as it would ask
a table of them: what gRPC itself calls an interceptor takes three coroutines a call.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc
from msgspec.structs import replace

from capsuled.begun import Begun
from capsuled.denials import Denials
from capsuled.doors import Denied, Door
from capsuled.engine import Engine
from capsuled.entered import Entered, Visit
from capsuled.heads import Heads
from capsuled.limits import Limits
from capsuled.live import LiveStreams
from capsuled.methods import Methods
from capsuled.request_stream import RequestStream
from capsuled.roles import rule_of
from capsuled.rpc import Refused, abort
from capsuled.session import address_of
from capsuled.strangers import Strangers
from capsuled.terms import Note, Terms
from journal.clock import Clock
from journal.entry import SYSTEM, Actor
from journal.errors import JournalError
from journal.events import CallDenied


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
        self._methods = methods
        self._door = door
        self._engine = engine
        self._denials = denials
        self._clock = clock
        self._limits = limits
        self._strangers = Strangers(limits.strangers, limits.strangers_each)
        self._terms = Terms(engine, denials, live, note, limits, heads, self._strangers, unknown)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of the call's method, or one that denies it; None where nobody serves it."""
        details = handler_call_details
        handler = self._methods.of(details.method)
        if handler is None:
            return None
        method = details.method.removeprefix("/").removeprefix("capsule.v1.")
        visit = Visit(method, rule_of(method), dict(details.invocation_metadata or ()), self._clock.mono_ns())
        if handler.unary_unary and self._door.proves(visit.rule):
            return grpc.stream_unary_rpc_method_handler(self._met(visit, handler), None, handler.response_serializer)
        try:
            return self._entered(visit, handler).handler()
        except Denied as denied:
            return grpc.stream_stream_rpc_method_handler(self._deny(denied, method, handler))

    def _entered(self, visit: Visit, handler: Any) -> Entered:
        session = self._door.enter(visit.method, visit.rule, visit.metadata)
        return Entered(self._terms, handler, visit, replace(session, began_ns=visit.began_ns))

    def _met(self, visit: Visit, handler: Any) -> Callable[..., Awaitable[Any]]:
        """Its one message comes in while the token is proven: to gRPC that is a way through two threads, which takes as
        long as a signature does. Whoever proves nothing is sent away without it."""

        async def meet(requests: Any, context: Any) -> Any:
            message = Begun(context.read())
            try:
                entered = self._entered(visit, handler)
            except Denied as denied:
                message.close()
                seq = self._engine.machine.seq
                self._note_denied(denied, visit.method, context)
                await self._send_away(denied, seq, context)
            return await entered.one_message(await entered.said(message, context), context)

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
        seq = self._engine.machine.seq

        async def deny(requests: Any, context: Any) -> AsyncIterator[Any]:
            self._note_denied(denied, method, context)
            if handler.request_streaming:
                stream = RequestStream(requests)
                try:
                    await self._hear_out(stream, handler.response_streaming, denied.actor, context)
                finally:
                    await stream.close()
            await self._send_away(denied, seq, context)
            yield b""

        return deny

    async def _send_away(self, denied: Denied, seq: int, context: Any) -> NoReturn:
        """Who may come in is of the state as well: it is durable as it was at entry `seq`, by which the caller was
        judged. The denial's own entry is not waited for."""
        error: Exception = denied
        try:
            await self._engine.durable(seq)
        except JournalError as failure:
            error = failure
        await abort(context, error)

    async def _hear_out(self, stream: RequestStream, chats: bool, actor: Actor, context: Any) -> None:
        if actor != SYSTEM:
            with contextlib.suppress(Refused), self._terms.silent(actor):
                await stream.drain(self._limits.known, chats)
            return
        with contextlib.suppress(TimeoutError):
            async with self._strangers.waiting(address_of(context), self._limits.unknown.all_s):
                await stream.drain(self._limits.unknown, chats)
