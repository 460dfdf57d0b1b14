"""Who calls and what becomes of it: what goes into the engine with a call, and what comes out of it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec

from journal.entry import Actor
from journal.events import Event
from projections.refusals import Refusal
from projections.state import Machine

Keep = Callable[[], AbstractAsyncContextManager[Refusal | None]]
"""Holds what an admitted call needs: inside it is durable, afterwards it stays if something names it. Gives a refusal
where it is not to be had. Raises DriverError."""


class Told:
    """Whether the journal knows of a call; one that ends badly before it does is told of at the door."""

    def __init__(self) -> None:
        self.yes = False


def nothing_lost() -> Refusal | None:
    """Nobody takes anything from the machine's own admin."""
    return None


class Caller(msgspec.Struct, frozen=True):
    """Who calls, and how: `call_id` and `args_hash` make a repeated call answerable, `login` is unverified.

    `peer` is the address it came from, `jti` and `token_exp` are of its token, `began_ns` is the monotonic moment of
    its arrival; `lost` says why the caller has no right to the call any more, for a call may take a while. `cause` is
    the entry that led the machine itself to call.
    """

    actor: Actor
    method: str
    call_id: str = ""
    args_hash: str = ""
    login: str = ""
    peer: str = ""
    jti: str = ""
    token_exp: int = 0
    arguments: tuple[tuple[str, str], ...] = ()
    began_ns: int = 0
    told: Told = msgspec.field(default_factory=Told)
    lost: Callable[[], Refusal | None] = nothing_lost
    cause: int = 0


class Outcome(msgspec.Struct, frozen=True):
    """An accepted call. `seq` is its own entry; `events` what it changed; `repeated`: answered from memory.

    `machine` is the state right after a new call whose answer tells of it; None otherwise.
    """

    seq: int
    events: tuple[Event, ...]
    repeated: bool = False
    machine: Machine | None = None
