"""Facts about streaming calls that act: `opened`, durable before the first byte moves, `closed` with the outcome."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from capsuled.caller import Caller
from capsuled.engine import Engine
from journal.errors import JournalError
from journal.events import StreamClosed, StreamOpened

CUT = "CUT"
"""Why a stream was cancelled, as far as the stream can know: its client went, or was sent away."""
NAME_CHARS = 512
"""No image's full name that is good is longer."""
PATH_CHARS = 1_024
ARGV_CHARS = 4_096
"""A script may be handed over as one argument; the journal keeps how it begins."""
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
    engine: Engine,
    caller: Caller,
    name: str,
    argv: tuple[str, ...] = (),
    tty: bool = False,
    user: str = "",
    path: str = "",
) -> AsyncIterator[OpenStream]:
    """Journal the stream's beginning and, however it ends, its end."""
    event = StreamOpened(
        method=caller.method,
        object=name[:NAME_CHARS],
        argv=shortened(argv),
        tty=tty,
        login=caller.login,
        user=user[:NAME_CHARS],
        path=path[:PATH_CHARS],
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
            object=event.object,
            method=event.method,
        )
        try:
            engine.record((closed,), cause=seq, reserved=True, actor=caller.actor)
        except JournalError as error:
            log.warning("the end of stream %d is not journaled; the next start closes it as lost: %s", seq, error)


def shortened(argv: tuple[str, ...]) -> tuple[str, ...]:
    """A command line as the journal keeps it: what is too long is cut, and what is left out is counted."""
    left = ARGV_CHARS
    for number, argument in enumerate(argv):
        if len(argument) >= left:
            rest = len(argv) - number - 1
            return (*argv[:number], f"{argument[:left]}…", *((f"… and {rest} more",) if rest else ()))
        left -= len(argument) + 1
    return argv
