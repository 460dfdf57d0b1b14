"""A rollback's way through the house: the moment is found and folded, what can go back is tried one by one, and then
declared in one call.
"""

import asyncio

import msgspec

from capsule.v1 import rollback_pb2 as pb
from capsuled.answers import Answer, Answers
from capsuled.caller import Caller
from capsuled.declare import word_of
from capsuled.earlier import earlier
from capsuled.engine import Engine
from capsuled.moments import Moments
from capsuled.resolve import Resolver
from capsuled.rpc import Refused, refuse
from effects.goals import Effect
from effects.planner import plan
from journal.errors import JournalError
from journal.events import Event, RollbackRequested, WorkloadApplied, WorkloadDeleteRequested
from journal.reader import Reader
from projections.admission import Admitted
from projections.intents import Rollback
from projections.phases import RunPhase
from projections.refusals import Refusal, no_workload
from projections.rollback import Target, missing_images, target, unpinned
from projections.state import Deadline, Machine, Workload

REASON_CHARS = 500
_BEFORE = (
    "nothing is remembered of that time, it was before the first entry (`capsulectl history show 1`): there is nothing "
    "to go back to, and `capsulectl delete` takes away what there is now"
)


class Item(msgspec.Struct, frozen=True):
    """What becomes of one workload; `reason`: why it is left as it is."""

    name: str
    outcome: str
    reason: str = ""
    restarts: bool = False
    image_missing: bool = False


class RolledBack(msgspec.Struct, frozen=True):
    """What a rollback led to. Of a dry run only: the state as it would be, its goals, and when what is desired of the
    machine that was planned for had changed last."""

    to_seq: int
    items: tuple[Item, ...]
    seq: int = 0
    machine: Machine | None = None
    plan: tuple[Effect, ...] = ()
    desired_seq: int = 0


class Rollbacks:
    """Takes what is desired back."""

    def __init__(
        self, engine: Engine, resolver: Resolver, answers: Answers, reader: Reader | None, why: JournalError
    ) -> None:
        """`why`: the reason where there is no reader, and with it no past."""
        self._engine = engine
        self._resolver = resolver
        self._answers = answers
        self._reader = reader
        self._why = why

    async def roll_back(self, request: pb.RollbackRequest, caller: Caller) -> RolledBack:
        """Have it admitted, or with `dry_run` say what would come of it. Raises Refused."""
        self._engine.check_writable()
        if not request.dry_run and (given := await self._answers.given(caller)) is not None:
            return _told(given, None)
        now = self._engine.machine.fork()
        to_seq, goal = await self._target(request, now, self._engine.moment())
        before = self._engine.machine.fork()
        intent = msgspec.structs.replace(
            await self._feasible(to_seq, goal, caller),
            reason=request.reason,
            name=request.name,
            expect_seq=request.expect_seq if request.HasField("expect_seq") else None,
        )
        if request.dry_run:
            fork, verdict = self._engine.preview(intent, caller.actor.role)
            if isinstance(verdict, Refusal):
                raise Refused(verdict)
            goals = tuple(one for one in plan(fork) if one.name in intent.names)
            items = _items(before, verdict.events, intent.left, goal.back)
            return RolledBack(to_seq, items, machine=fork, plan=goals, desired_seq=now.desired_seq)
        if intent.left and not intent.names:
            refuse("FAILED_PRECONDITION", "NOTHING_GOES_BACK", _whys(intent.left), "to")
        keep = self._resolver.keeping(intent.apply).keep
        answer = await self._answers.call(intent, caller, keep)
        return _told(answer, before, to_seq, goal.back)

    async def _target(self, request: pb.RollbackRequest, now: Machine, present: Deadline) -> tuple[int, Target]:
        """The entry that is meant, and what going back to it means. `present`: when it was as it is `now`."""
        await self._engine.durable(now.seq)
        reader = self._reader
        if reader is None:
            raise self._why
        names = (request.name,) if request.name else ()

        def read() -> tuple[int, Target]:
            moments = Moments(reader, self._engine.wall_ns)
            if request.WhichOneof("to") in ("previous", "healthy"):
                seq = moments.remembered(earlier(reader, now, request, present), "to")
            else:
                seq = moments.seq_of(request.moment, now.seq, "to")
            if not seq:
                refuse("OUT_OF_RANGE", "BEFORE_THE_FIRST_ENTRY", _BEFORE, "to")
            then = moments.machine(seq)
            if request.name:
                _check_there(request.name, now, then, seq)
            return seq, target(now, then, names)

        return await asyncio.to_thread(read)

    async def _feasible(self, to_seq: int, goal: Target, caller: Caller) -> Rollback:
        """The rollback of what can go back. Each is tried by itself, and then all that may go together; what that
        refuses stays as it is, unless it is the only one, whose refusal is the call's."""
        left = list(goal.left)
        able: list[Workload] = []
        alone = len(goal.back) + len(goal.gone) == 1 and not left
        for was in goal.back:
            verdict = await self._tried(unpinned(was), to_seq, caller.actor.role)
            needs_others = isinstance(verdict, Refusal) and verdict.reason in _TOGETHER
            if isinstance(verdict, Refusal) and not needs_others:
                if alone or verdict.code == "PERMISSION_DENIED":
                    raise Refused(verdict)
                left.append((was.name, verdict.message))
            else:
                able.append(unpinned(was))
        call = Rollback(await self._resolver.again(able), to_seq, goal.gone, tuple(left))
        return call if alone else self._together(call, caller.actor.role)

    def _together(self, call: Rollback, role: str) -> Rollback:
        """The same without those that cannot be beside what stays as it is. That is more with each of them: who needs
        one that is left is left, too. What is refused of the whole is refused."""
        while isinstance(verdict := self._engine.preview(call, role)[1], Refusal) and verdict.name:
            going = tuple(one for one in call.apply.workloads if one.name != verdict.name)
            assert len(going) < len(call.apply.workloads), verdict
            apply, left = msgspec.structs.replace(call.apply, workloads=going), (verdict.name, verdict.message)
            call = msgspec.structs.replace(call, apply=apply, left=(*call.left, left))
        return call

    async def _tried(self, was: Workload, to_seq: int, role: str) -> Admitted | Refusal:
        """What would be said of it alone. Its sealed values are looked for, too."""
        apply = await self._resolver.again((was,))
        async with self._resolver.keeping(apply).keep() as lacking:
            return lacking or self._engine.preview(Rollback(apply, to_seq), role)[1]


_TOGETHER = frozenset({"PORT_TAKEN", "VOLUME_HELD", "NO_SUCH_DEPENDENCY", "DEPENDENCY_CYCLE"})
"""Refusals that may not stand once the others have gone back, too."""


def _check_there(name: str, now: Machine, then: Machine, seq: int) -> None:
    """It was wanted then. Raises Refused: the one that was being deleted is not the one that has its name now, which a
    rollback by name never takes away."""
    was = then.workloads.get(name)
    if was is not None and was.desired != "deleting":
        return
    if name not in now.workloads:
        raise Refused(no_workload(name, now.workloads))
    what = "did not exist" if was is None else "was being deleted"
    advice = f"`capsulectl delete {name}` takes it away"
    refuse("FAILED_PRECONDITION", "NOT_THERE_THEN", f"{name} {what} after entry {seq}: {advice}", "to")


def _told(answer: Answer, before: Machine | None, to_seq: int = 0, back: tuple[Workload, ...] = ()) -> RolledBack:
    """From the events: also when the call is repeated, for which what was before is not looked up again."""
    told = next((event for event in answer.events if isinstance(event, RollbackRequested)), None)
    left = () if told is None else told.left
    items = _items(before, answer.events, left, back)
    return RolledBack(to_seq if told is None else told.to_seq, items, seq=answer.seq)


def _items(
    before: Machine | None, events: tuple[Event, ...], left: tuple[tuple[str, str], ...], back: tuple[Workload, ...]
) -> tuple[Item, ...]:
    missing = () if before is None else missing_images(before, back)
    items: list[Item] = []
    for event in events:
        match event:
            case WorkloadApplied():
                items += [
                    Item(
                        one.name,
                        word_of(one),
                        restarts=one.changed and _ran(before, one.name),
                        image_missing=one.name in missing,
                    )
                    for one in event.items
                ]
            case WorkloadDeleteRequested():
                items.append(Item(event.name, "deleted"))
            case _:
                pass
    items += [Item(name, "left", reason) for name, reason in left]
    return tuple(sorted(items, key=lambda item: item.name))


def _ran(before: Machine | None, name: str) -> bool:
    """Whether it had a run that could end; where that is not looked up again, it may have had one."""
    if before is None:
        return True
    was = before.workloads.get(name)
    return was is not None and was.run is not None and was.run.phase not in (RunPhase.EXITED, RunPhase.LOST)


def check_reason(reason: str) -> None:
    """Raises Refused for what would not stand in one line of the history."""
    if len(reason) > REASON_CHARS or not reason.isprintable():
        refuse("INVALID_ARGUMENT", "BAD_REASON", f"a reason is one line of at most {REASON_CHARS} characters", "reason")


def _whys(left: tuple[tuple[str, str], ...]) -> str:
    return "; ".join(f"{name} cannot go back: {why}" for name, why in left)
