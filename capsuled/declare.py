"""Declaring workloads: resolve, admit, journal; or only look at what would become of it (dry run, diff)."""

from collections.abc import Sequence

import msgspec

from capsule.v1 import workload_pb2 as pb
from capsuled.answers import Answer, Answers
from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.resolve import Resolver
from capsuled.rpc import Refused
from effects.goals import Effect
from effects.planner import plan
from journal.events import AppliedWorkload, VolumeApplied, WorkloadApplied
from projections.admission import Admitted
from projections.intents import Apply, DeclaredVolume
from projections.refusals import Refusal
from projections.state import Machine


class Result(msgspec.Struct, frozen=True):
    """What a declaration led to. `outcomes` has a word for each workload, `volumes` what is new of
    volumes; `plan` is empty unless it was a dry run."""

    machine: Machine
    outcomes: tuple[str, ...]
    seq: int = 0
    plan: tuple[Effect, ...] = ()
    volumes: tuple[VolumeApplied, ...] = ()


class Declarations:
    """The way of an apply through the house, for one workload and for many."""

    def __init__(self, engine: Engine, resolver: Resolver, answers: Answers) -> None:
        self._engine = engine
        self._resolver = resolver
        self._answers = answers

    async def apply(
        self,
        messages: Sequence[pb.Workload],
        caller: Caller,
        volumes: Sequence[DeclaredVolume] = (),
        *,
        expect_seq: int | None,
        pull: bool,
        dry_run: bool,
    ) -> Result:
        """Declare, or with `dry_run` say what would change. Raises Refused."""
        self._engine.check_writable()
        names = tuple(message.name for message in messages)
        if not dry_run and (answer := await self._answers.given(caller)) is not None:
            # Before anything is resolved: what was asked for then may not be there any more.
            return _result(answer, names)
        resolved = await self._resolver.apply(
            self._engine.machine, messages, volumes, role=caller.actor.role, expect_seq=expect_seq, pull=pull
        )
        if dry_run:
            if isinstance(resolved, Refusal):
                raise Refused(resolved)
            fork, events = self._preview(resolved.intent, caller.actor.role)
            concerned = {*names, *(volume.name for volume in volumes)}
            goals = tuple(goal for goal in plan(fork) if goal.name in concerned)
            return Result(fork, _outcomes(names, events), plan=goals, volumes=_volumes(events))
        if isinstance(resolved, Refusal):
            await self._engine.refuse(resolved, caller, names)
            raise Refused(resolved)
        return _result(await self._answers.call(resolved.intent, caller, resolved.keep), names)

    async def preview(
        self, messages: Sequence[pb.Workload], volumes: Sequence[DeclaredVolume] = (), *, role: str, pull: bool
    ) -> Machine:
        """The state as it would be if a caller of this role declared it. Raises Refused."""
        resolved = await self._resolver.apply(
            self._engine.machine, messages, volumes, role=role, expect_seq=None, pull=pull
        )
        if isinstance(resolved, Refusal):
            raise Refused(resolved)
        return self._preview(resolved.intent, role)[0]

    def _preview(self, intent: Apply, role: str) -> tuple[Machine, tuple[object, ...]]:
        fork, verdict = self._engine.preview(intent, role)
        if isinstance(verdict, Refusal):
            raise Refused(verdict)
        assert isinstance(verdict, Admitted)
        return fork, verdict.events


def _result(answer: Answer, names: tuple[str, ...]) -> Result:
    return Result(answer.machine, _outcomes(names, answer.events), answer.seq, volumes=_volumes(answer.events))


def _outcomes(names: Sequence[str], events: Sequence[object]) -> tuple[str, ...]:
    items = {item.name: item for event in events if isinstance(event, WorkloadApplied) for item in event.items}
    return tuple(word_of(items.get(name)) for name in names)


def _volumes(events: Sequence[object]) -> tuple[VolumeApplied, ...]:
    return tuple(event for event in events if isinstance(event, VolumeApplied))


def word_of(item: AppliedWorkload | None) -> str:
    """What an apply did to a workload, in one word."""
    if item is None:
        return "unchanged"
    if item.created:
        return "created"
    if item.changed:
        return "configured"
    if item.relabelled:
        return "labelled"
    if item.reordered:
        return "reordered"
    if item.policed:
        return "configured"
    if item.repaired and item.desired == "running":
        return "repaired"
    return "stopped" if item.desired == "stopped" else "started"
