"""IdentityService and OperatorService: keys in, keys out, and who is asking."""

from typing import Any

from capsule.v1 import identity_pb2 as pb
from capsule.v1.identity_pb2_grpc import IdentityServiceServicer, OperatorServiceServicer
from capsuled.answers import Answers
from capsuled.denials import Denials
from capsuled.engine import Engine
from capsuled.roster import Roster
from capsuled.rpc import Refused, caller_of, refuse
from capsuled.session import ANONYMOUS
from capsuled.tokens import kid_of
from capsuled.wire_identity import ROLES, ROLES_OUT, key_message
from journal.clock import Clock
from journal.errors import JournalError
from journal.events import CallDenied
from journal.specs import Role
from projections.enrolment import admit_key
from projections.intents import AddKey, Adopt, ChangeRole, Intent, RemoveKey
from projections.refusals import Refusal

KEY_BYTES = 32


class Me:
    """What a client learns of the machine when it adopts it."""

    def __init__(self, capsule_id: str, fingerprint: str) -> None:
        self.capsule_id = capsule_id
        self.fingerprint = fingerprint


class IdentityService(IdentityServiceServicer):
    """See proto/capsule/v1/identity.proto."""

    def __init__(
        self, me: Me, engine: Engine, answers: Answers, roster: Roster, denials: Denials, clock: Clock
    ) -> None:
        self._me = me
        self._engine = engine
        self._answers = answers
        self._roster = roster
        self._denials = denials
        self._clock = clock

    async def Adopt(self, request: pb.AdoptRequest, context: Any) -> pb.AdoptResponse:
        """Open to all, so what is refused is recorded at a bounded rate, and what changes nothing not at all."""
        caller = caller_of(context, "IdentityService.Adopt", request)
        kid = kid_of(request.pubkey)
        intent = Adopt(kid, request.pubkey.hex(), request.name, self._clock.boot_id, self._clock.mono_ns())
        known = kid in self._roster.operators()  # in rescue the state may not know it
        verdict = () if known else admit_key(self._engine.machine, intent)
        if isinstance(verdict, Refusal):
            event = CallDenied(
                method=caller.method,
                reason=verdict.reason,
                code=verdict.code,
                objects=(kid,),
                peer=caller.peer,
                given=tuple(path for path, _ in caller.arguments),
            )
            self._denials.note(event, ANONYMOUS)
            caller.told.yes = True
            raise Refused(verdict)
        if verdict:
            try:
                await self._call(intent, caller)
            except JournalError as error:
                refuse("FAILED_PRECONDITION", "ADOPTION_CLOSED", f"adoption window closed: {error}")
        await self._engine.durable()
        operator = self._roster.operators().get(kid)
        if operator is None:
            refuse(
                "ABORTED", "KEY_REMOVED", "this key was removed while the machine was adopted with it: adopt it again"
            )
        return pb.AdoptResponse(
            capsule_id=self._me.capsule_id,
            kid=kid,
            tls_fingerprint_sha256=self._me.fingerprint,
            role=ROLES_OUT[operator.role],
        )

    async def WhoAmI(self, request: pb.WhoAmIRequest, context: Any) -> pb.WhoAmIResponse:
        """The caller, as the machine knows it."""
        actor = caller_of(context, "IdentityService.WhoAmI").actor
        local = actor.kind == "local"
        return pb.WhoAmIResponse(
            capsule_id=self._me.capsule_id,
            kid="" if local else actor.id,
            name="local" if local else actor.name,
            role=ROLES_OUT[actor.role],
        )

    async def KeyList(self, request: pb.KeyListRequest, context: Any) -> pb.KeyListResponse:
        """In the order in which they were enrolled."""
        operators = sorted(self._roster.operators().values(), key=lambda one: one.seq)
        return pb.KeyListResponse(keys=[key_message(one) for one in operators])

    async def KeyAdd(self, request: pb.KeyAddRequest, context: Any) -> pb.KeyAddResponse:
        """Clients that know no roles mean an admin."""
        caller = caller_of(context, "IdentityService.KeyAdd", request)
        role: Role | None = "admin" if not request.role else ROLES.get(request.role)
        if role is None:
            refuse("INVALID_ARGUMENT", "BAD_ROLE", "the role is not one this release knows", "role")
        kid = kid_of(request.pubkey)
        by = caller.actor.id if caller.actor.kind == "operator" else ""
        answer = await self._answers.call(AddKey(kid, request.pubkey.hex(), request.name, role, by), caller)
        await self._roster.copied()
        return pb.KeyAddResponse(key=key_message(answer.machine.operators[kid]))

    async def KeyRemove(self, request: pb.KeyRemoveRequest, context: Any) -> pb.KeyRemoveResponse:
        """Its open streams are cut, too: see Roster."""
        caller = caller_of(context, "IdentityService.KeyRemove", request)
        _refuse_unless_in_rescue(await self._call(RemoveKey(request.kid), caller))
        return pb.KeyRemoveResponse()

    async def _call(self, intent: Intent, caller: Any) -> str:
        """Why it does not hold in rescue yet; empty when it does."""
        outcome = await self._engine.call(intent, caller)
        if isinstance(outcome, Refusal):
            raise Refused(outcome)
        return await self._roster.copied()


class OperatorService(OperatorServiceServicer):
    """See proto/capsule/v1/identity.proto."""

    def __init__(self, answers: Answers, roster: Roster) -> None:
        self._answers = answers
        self._roster = roster

    async def SetRole(self, request: pb.SetRoleRequest, context: Any) -> pb.SetRoleResponse:
        """From the next call on."""
        role = ROLES.get(request.role)
        if role is None:
            refuse("INVALID_ARGUMENT", "BAD_ROLE", "say which role: admin, operator or reader", "role")
        answer = await self._answers.call(
            ChangeRole(request.kid, role), caller_of(context, "OperatorService.SetRole", request)
        )
        _refuse_unless_in_rescue(await self._roster.copied())
        return pb.SetRoleResponse(key=key_message(answer.machine.operators[request.kid]))


def _refuse_unless_in_rescue(lacks: str) -> None:
    """What was taken from a key is not answered as done while rescue gives it back. A key that was added can wait."""
    if lacks:
        refuse("FAILED_PRECONDITION", "NOT_IN_RESCUE", f"that is done, but {lacks}")
