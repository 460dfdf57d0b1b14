"""The two ways in: the unix socket, whose user is root's equal, and the network, where every call proves whose it is.

A door turns a call's metadata into a session, or denies it; the interceptor stands in it (see interceptor.py).
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from capsuled.live import taken_back
from capsuled.replays import ReplayGuard
from capsuled.roles import Rule
from capsuled.rpc import Refused
from capsuled.session import ANONYMOUS, Session
from capsuled.tokens import TokenRefused, check, read
from journal.entry import LOCAL, SYSTEM, Actor
from projections.refusals import Refusal, refused
from projections.rights import may
from projections.state import Operator

LOGIN_CHARS = 64

Metadata = Mapping[str, Any]


class Denied(Refused):
    """Raised by a door. `actor` is who was proven to call (the system, if nobody), `claimed` a key id without proof."""

    def __init__(
        self, refusal: Refusal, actor: Actor = SYSTEM, claimed: str = "", session: Session | None = None
    ) -> None:
        super().__init__(refusal)
        self.actor = actor
        self.claimed = claimed
        self.session = session or Session(actor)


class Door(Protocol):
    """One way in."""

    def proves(self, rule: Rule) -> bool:
        """Whether to `enter` takes a while, for a method of this rule: a proof, which others need not wait for."""
        ...

    def enter(self, method: str, rule: Rule, metadata: Metadata) -> Session:
        """Who calls. Raises Denied."""
        ...


class LocalDoor:
    """The unix socket: its mode says who may open it. The login name is what the client says: unverified."""

    def proves(self, rule: Rule) -> bool:
        """Nothing."""
        return False

    def enter(self, method: str, rule: Rule, metadata: Metadata) -> Session:
        """Always the local admin."""
        return Session(
            LOCAL,
            login=str(metadata.get("capsule-login", ""))[:LOGIN_CHARS],
            call_id=str(metadata.get("capsule-call-id", "")),
        )


class NetworkDoor:
    """TLS: a token with every call. `operators` gives the keys that are enrolled now, `now_ns` the time by which tokens
    are judged, in nanoseconds since the epoch."""

    def __init__(
        self,
        capsule_id: str,
        operators: Callable[[], Mapping[str, Operator]],
        guard: ReplayGuard,
        now_ns: Callable[[], int],
    ) -> None:
        self._capsule_id = capsule_id
        self._operators = operators
        self._guard = guard
        self._now_ns = now_ns

    def proves(self, rule: Rule) -> bool:
        """A signature, but for what is open to all."""
        return rule.role != "open"

    def enter(self, method: str, rule: Rule, metadata: Metadata) -> Session:
        """The operator that the token proves, if the role suffices."""
        if rule.role == "open":
            return Session(ANONYMOUS)
        try:
            operator, jti, expiry = self._proven(str(metadata.get("authorization", "")))
        except TokenRefused as error:
            refusal = refused("UNAUTHENTICATED", error.reason, error.message)
            raise Denied(refusal, claimed=error.claimed) from None
        actor = Actor("operator", operator.kid, operator.name, operator.role)
        session = Session(
            actor,
            jti=jti,
            token_exp=expiry,
            call_id=str(metadata.get("capsule-call-id", "")),
            lost=lambda: self._lost(actor, rule),
        )
        if not may(operator.role, rule.role):
            message = (
                f"your key has the role {operator.role}, and this takes {rule.role} ({method})"
                f"{f', for {rule.why}' if rule.why else ''}: an admin gives it with "
                f"`capsulectl key role NAME {rule.role}`; `capsulectl key list` shows who is one"
            )
            raise Denied(refused("PERMISSION_DENIED", "ROLE_LACKS", message), session.actor, session=session)
        return session

    def _lost(self, actor: Actor, rule: Rule) -> Refusal | None:
        operator = self._operators().get(actor.id)
        return taken_back(actor.role, operator.role if operator else "", rule)

    def _proven(self, authorization: str) -> tuple[Operator, str, int]:
        token = read(authorization)
        operators = self._operators()
        operator = operators.get(token.kid)
        if operator is None:
            raise TokenRefused("KEY_UNKNOWN", _unknown(operators), token.kid[:64] if token.kid.isprintable() else "")
        now_s = self._now_ns() / 1e9
        check(token, operator.public_key, self._capsule_id, now_s)
        claims = token.claims
        if not self._guard.take(operator.kid, claims.jti, claims.exp, now_s):
            raise TokenRefused(
                "TOKEN_REPLAYED", "this token was used before: every call needs one of its own", operator.kid
            )
        return operator, claims.jti, claims.exp


def _unknown(operators: Mapping[str, Operator]) -> str:
    if not operators:
        return "no key is enrolled on this capsule yet: `capsulectl adopt ADDRESS` enrols yours"
    return (
        "this key is not enrolled on this capsule, or was removed: an admin of it can add it with "
        "`capsulectl key add` (`capsulectl key show` prints yours)"
    )
