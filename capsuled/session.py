"""Who is at the other end of a call, proven once at the door and read by the servicer behind it."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from urllib.parse import unquote

import msgspec

from capsuled.caller import Told, nothing_lost
from journal.entry import Actor
from projections.refusals import Refusal

ANONYMOUS = Actor("operator", id="anonymous")
"""Whoever calls a method that is open to all: nothing is known of them, and they have no role."""


class Session(msgspec.Struct, frozen=True):
    """The caller of one call. `began_ns` is the monotonic moment at which it arrived, `lost` as in Caller."""

    actor: Actor
    peer: str = ""
    login: str = ""
    jti: str = ""
    token_exp: int = 0
    call_id: str = ""
    began_ns: int = 0
    told: Told = msgspec.field(default_factory=Told)
    lost: Callable[[], Refusal | None] = nothing_lost


CURRENT: ContextVar[Session] = ContextVar("capsule session")


def address_of(context: Any) -> str:
    """Where a call came from, as people write it: `192.0.2.7:50123`, `[2001:db8::7]:50123`, `unix`."""
    kind, _, rest = unquote(context.peer() or "").partition(":")
    return rest if kind in ("ipv4", "ipv6") else kind
