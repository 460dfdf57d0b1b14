"""Facts about streaming calls that act: `opened`, durable before the first byte moves, `closed` with the outcome."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from capsuled.engine import Caller, Engine
from journal.errors import JournalError
from journal.events import StreamClosed, StreamOpened

CUT = "CUT"
"""Why a stream was cancelled, as far as the stream can know: its client went, or was sent away."""
log = logging.getLogger(__name__)


class OpenStream:
    """Counts what passes; whoever moves bytes adds to it. `seq` is the entry that opened it."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.bytes_in = 0
        self.bytes_out = 0
        self.exit_code: int | None = None
        self.outcome = "ok"
        self.reason = ""


@asynccontextmanager
async def opened(
    engine: Engine, caller: Caller, name: str, argv: tuple[str, ...] = (), tty: bool = False, user: str = ""
) -> AsyncIterator[OpenStream]:
    """Journal the stream's beginning and, however it ends, its end."""
    event = StreamOpened(
        method=caller.method,
        object=name,
        argv=argv,
        tty=tty,
        login=caller.login,
        user=user,
        peer=caller.peer,
        jti=caller.jti,
        token_exp=caller.token_exp,
    )
    seq = engine.record((event,), actor=caller.actor)
    caller.told.yes = True
    began_ns = engine.mono_ns()
    stream = OpenStream(seq)
    try:
        await engine.durable(seq)
        yield stream
    except BaseException as error:
        if stream.exit_code is not None:
            raise  # a client that leaves once it has the exit code has had it all
        cancelled = not isinstance(error, Exception)
        stream.outcome = "cancelled" if cancelled else "failed"
        stream.reason = CUT if cancelled else getattr(error, "reason", type(error).__name__)
        raise
    finally:
        closed = StreamClosed(
            opened=seq,
            outcome=stream.outcome,
            bytes_in=stream.bytes_in,
            bytes_out=stream.bytes_out,
            exit_code=stream.exit_code,
            reason=stream.reason,
            took_ms=(engine.mono_ns() - began_ns) // 1_000_000,
        )
        try:
            engine.record((closed,), cause=seq, reserved=True, actor=caller.actor)
        except JournalError as error:
            log.warning("the end of stream %d is not journaled; the next start closes it as lost: %s", seq, error)
