"""What holds for every call that was let in, whatever it asks for: its caller has his right still, reads are noted, no
answer is told before the state that it tells of is durable, a failure is heard of by the client and the journal, and
streams can be cut.
"""

import contextlib
from collections.abc import Callable
from operator import attrgetter
from typing import Any, NoReturn

import grpc
from google.protobuf.message import Message

from capsuled.caller import Caller
from capsuled.denials import Denials
from capsuled.doors import Denied, Metadata
from capsuled.engine import Engine
from capsuled.heads import HEAD, Heads
from capsuled.limits import Limits
from capsuled.live import LiveStreams
from capsuled.request_stream import RequestStream
from capsuled.roles import INSIDE, Rule
from capsuled.rpc import Refused, abort, caller_of, refuse, status_of_error
from capsuled.session import ANONYMOUS, CURRENT, Session, address_of
from capsuled.strangers import Strangers
from journal.entry import LOCAL, Actor
from journal.errors import JournalError
from journal.events import CallDenied
from projections.refusals import Refusal
from projections.rights import permit_inside

CALL_ID_CHARS = 128

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

Note = Callable[[str, Any, Any], None]
"""Called with (method, request, context) after a unary read that succeeded, and when a streaming read begins."""


class Terms:
    """Of one door."""

    def __init__(
        self,
        engine: Engine,
        denials: Denials,
        live: LiveStreams,
        note: Note,
        limits: Limits,
        heads: Heads,
        strangers: Strangers,
        unknown: JournalError | None = None,
    ) -> None:
        """`unknown`: why nothing can be told of the state, where it could not be read."""
        self._engine = engine
        self._denials = denials
        self._live = live
        self._note = note
        self._limits = limits
        self._heads = heads
        self._strangers = strangers
        self._unknown = unknown

    def entered(self) -> None:
        """The current task handles a call, and may have something to put away in the end."""
        self._live.entered()

    def tell_head(self, metadata: Metadata, rule: Rule, context: Any) -> None:
        """Beside the answer, to a client that asks; not to one who proved nothing."""
        if HEAD in metadata and rule.role != "open" and (told := self._heads.told(metadata)):
            context.set_trailing_metadata((*(context.trailing_metadata() or ()), *told))

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
        name = name_inside(method, message)
        if name is not None:
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
        """The stream of a key can be cut; the machine's own socket has no key. Raises Refused for one too many."""
        actor = session.actor
        if actor == LOCAL:
            return contextlib.nullcontext()
        self._live.check(actor.id, self._limits)
        return self._live.opened(actor.id, actor.role, rule)

    @property
    def quiet_s(self) -> float:
        """How long a client says nothing where others wait for what it sends."""
        return self._limits.quiet_s

    def asking(self, actor: Actor) -> Any:
        """While a call of one message is not answered. Raises Refused where a key has too many of them."""
        return contextlib.nullcontext() if actor in (LOCAL, ANONYMOUS) else self._live.asking(actor.id, self._limits)

    def silent(self, actor: Actor) -> Any:
        """While a call of a key says nothing. Raises Refused where too many do not."""
        return self._live.silent(actor.id, self._limits)

    def confirm(self, method: str, session: Session, rule: Rule) -> None:
        """Raises Denied when the caller has lost his right since he was let in (he may send his message late), Refused
        for a call id that is none, and JournalError when what he asks for is not known."""
        if (lost := session.lost()) is not None:
            raise Denied(lost, session.actor, session=session)
        check_call_id(session.call_id)
        if self._unknown is not None and not rule.acts and method.partition("/")[0] in TELLS:
            raise self._unknown


def check_call_id(call_id: str) -> None:
    """Raises Refused for one that is not remembered whole: cut short it may be another call's, and that one's answer
    would be given for this one, which is not done."""
    if len(call_id) > CALL_ID_CHARS or not (call_id.isascii() and call_id.isprintable()):
        words = (
            f"a call id is at most {CALL_ID_CHARS} printable ASCII characters, as a UUID is: call again with such a one"
        )
        refuse("INVALID_ARGUMENT", "BAD_CALL_ID", words, "capsule-call-id")


def name_inside(method: str, message: Any) -> str | None:
    """The workload that a call reaches inside of, by its first message; None where that names none."""
    path = INSIDE.get(method)
    return attrgetter(path)(message) if path is not None and isinstance(message, Message) else None


def _denied(refusal: Refusal, caller: Caller) -> CallDenied:
    return CallDenied(
        method=caller.method,
        reason=refusal.reason,
        code=refusal.code,
        fields=refusal.fields,
        peer=caller.peer,
        given=tuple(path for path, _ in caller.arguments),
    )
