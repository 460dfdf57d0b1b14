"""A rollback's way through the house: what it finds in the past, what goes back together, and what is left and named."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from capsule.v1 import history_pb2
from capsule.v1 import rollback_pb2 as pb
from capsuled.answers import Answers
from capsuled.caller import Caller
from capsuled.resolve import Resolver
from capsuled.rollbacks import Rollbacks, RolledBack
from capsuled.rpc import Refused
from effects.images.registry_twin import NOWHERE
from effects.images.twin import CacheWorld, TwinImages
from journal.entry import LOCAL
from journal.errors import JournalError
from journal.events import EffectStarted, Event, VolumeMade, VolumeRemoved, WorkloadRemoved
from journal.specs import PortMapping, VolumeMount
from projections.intents import (
    DEFAULT_SUBNET,
    Apply,
    CreateVolume,
    Declared,
    Delete,
    DeleteVolume,
    Intent,
    Stop,
)
from projections.refusals import Refusal
from projections.rollback import target
from projections.state import Machine, Workload
from tests.support.entries import Ledger, indexed
from tests.support.story import declared
from tests.support.vault import OpenVault
from tests.unit.capsuled.test_call_ids import House

MIB = 1 << 20


class Capsule:
    """A machine of which each entry is in a journal once it is gone back to."""

    def __init__(self, directory: Path) -> None:
        house = House()
        self.engine, self._log, self._directory = house.engine, house.log, directory
        self.narrow(DEFAULT_SUBNET)
        self._answers = Answers(self.engine, self._log)

    def narrow(self, subnet: str) -> None:
        """The bridge's, from now."""
        self._resolver = Resolver(TwinImages(CacheWorld()), NOWHERE, OpenVault(), subnet)

    def __getitem__(self, name: str) -> Workload:
        return self.engine.machine.workloads[name]

    @property
    def declared(self) -> dict[str, str]:
        """What each that shall be there is declared as."""
        items = self.engine.machine.workloads.items()
        return {name: "".join(one.spec.args) for name, one in items if one.desired != "deleting"}

    async def does(self, *intents: Intent) -> int:
        """The newest entry then."""
        for intent in intents:
            outcome = await self.engine.call(intent, Caller(LOCAL, "Test"))
            assert not isinstance(outcome, Refusal), outcome
        return self.engine.machine.seq

    async def tries(self, intent: Intent) -> None:
        """It may be refused."""
        await self.engine.call(intent, Caller(LOCAL, "Test"))

    async def apply(self, *workloads: Declared) -> int:
        return await self.does(Apply(workloads))

    def sees(self, event: Event) -> int:
        self.engine.record([event])
        return self.engine.machine.seq

    async def lose(self, name: str) -> int:
        """Deleted, and gone."""
        uid = self[name].uid
        await self.does(Delete(name))
        return self.sees(WorkloadRemoved(name, uid))

    async def make_volume(self, name: str) -> None:
        await self.does(CreateVolume(name, 16 * MIB))
        self.sees(VolumeMade(name, self.engine.machine.volumes[name].uid, 16 * MIB))

    async def lose_volume(self, name: str) -> None:
        uid = self.engine.machine.volumes[name].uid
        await self.does(DeleteVolume(name, force=True))
        self.sees(VolumeRemoved(name, uid))

    async def rolled_back(
        self, seq: int, name: str = "", *, dry_run: bool = False, expect_seq: int | None = None
    ) -> RolledBack:
        ledger = Ledger()
        for header, event in self._log.entries:
            assert header.seq == ledger.add(event).header.seq
        request = pb.RollbackRequest(
            name=name, moment=history_pb2.Moment(seq=seq), dry_run=dry_run, expect_seq=expect_seq
        )
        with indexed(self._directory / f"{ledger.seq} {dry_run}", ledger) as reader:
            rollbacks = Rollbacks(self.engine, self._resolver, self._answers, reader, JournalError(""))
            return await rollbacks.roll_back(request, Caller(LOCAL, "RollbackService.Rollback"))


def living(story: Callable[[Capsule], Awaitable[None]]) -> Callable[[Path], None]:
    """A test on a machine of its own."""

    def test(tmp_path: Path) -> None:
        async def main() -> None:
            await story(Capsule(tmp_path))

        asyncio.run(main())

    test.__name__ = story.__name__
    return test


def mounting(name: str, *args: str, volume: str) -> Declared:
    one = declared(name, *args)
    return replace(one, spec=replace(one.spec, mounts=(VolumeMount(volume, "/data"),)))


def at(name: str, *args: str, port: int) -> Declared:
    return declared(name, *args, ports=(PortMapping(80, port),), network="bridge")


def outcomes(done: RolledBack) -> dict[str, str]:
    return {one.name: one.outcome for one in done.items}


def reasons(done: RolledBack) -> dict[str, str]:
    return {one.name: one.reason for one in done.items if one.reason}


async def both(capsule: Capsule, seq: int) -> RolledBack:
    """What is done of everything, which is what was planned."""
    planned = await capsule.rolled_back(seq, dry_run=True)
    done = await capsule.rolled_back(seq)
    assert done.items == planned.items
    return done


# --- what goes back together ----------------------------------------------------------------------------------------


@living
async def test_a_port_of_what_goes_is_its_own_until_it_is_gone_and_the_rest_goes_back(capsule: Capsule) -> None:
    then = await capsule.apply(at("web", port=8080), declared("api", "then"))
    await capsule.apply(declared("api", "now"))
    await capsule.lose("web")
    await capsule.apply(at("web2", port=8080))
    done = await both(capsule, then)
    assert outcomes(done) == {"api": "configured", "web": "left", "web2": "deleted"}
    assert "host port 8080/tcp, which web2 has until it is gone: repeat the call then" in reasons(done)["web"]
    assert capsule.declared == {"api": "then"}
    capsule.sees(WorkloadRemoved("web2", capsule["web2"].uid))
    assert outcomes(await both(capsule, then)) == {"web": "created"}


@living
async def test_a_volume_of_what_goes_is_waited_for(capsule: Capsule) -> None:
    await capsule.make_volume("data")
    then = await capsule.apply(mounting("web", volume="data"), declared("api", "then"))
    await capsule.apply(declared("api", "now"))
    await capsule.lose("web")
    await capsule.apply(mounting("web2", volume="data"))
    done = await both(capsule, then)
    assert outcomes(done) == {"api": "configured", "web": "created", "web2": "deleted"}


@living
async def test_what_needs_one_that_is_left_is_left_too_and_so_on(capsule: Capsule) -> None:
    await capsule.make_volume("data")
    await capsule.apply(mounting("db", volume="data"), declared("api", "then"))
    then = await capsule.apply(declared("web", depends_on=("db",)), declared("page", depends_on=("web",)))
    for name in ("page", "web", "db"):
        await capsule.lose(name)
    await capsule.lose_volume("data")
    await capsule.apply(declared("api", "now"))
    done = await both(capsule, then)
    assert outcomes(done) == {"api": "configured", "db": "left", "page": "left", "web": "left"}
    assert "its volume data is gone" in reasons(done)["db"]
    assert reasons(done)["web"].startswith("web depends on db, and there is no such workload")
    assert reasons(done)["page"].startswith("page depends on web, and there is no such workload")


@living
async def test_what_is_left_keeps_its_port_and_its_volume(capsule: Capsule) -> None:
    """`db` stays as it is, as its volume of then is gone; what it took since is still its own."""
    for name in ("data", "other"):
        await capsule.make_volume(name)
    await capsule.apply(mounting("db", volume="data"), mounting("web", "then", volume="other"))
    then = await capsule.apply(at("page", "then", port=8080))
    await capsule.apply(declared("web", "now"), declared("page", "now"))
    mounts = (VolumeMount("other", "/data"),)
    both_taken = at("db", port=8080)
    await capsule.apply(replace(both_taken, spec=replace(both_taken.spec, mounts=mounts)))
    await capsule.lose_volume("data")
    done = await capsule.rolled_back(then, dry_run=True)
    assert outcomes(done) == {"db": "left", "page": "left", "web": "left"}
    assert "which db has: choose another hostPort" in reasons(done)["page"]
    assert "volume other, which db mounts" in reasons(done)["web"]
    with pytest.raises(Refused) as refused:
        await capsule.rolled_back(then)
    assert refused.value.refusal.reason == "NOTHING_GOES_BACK"


@living
async def test_only_a_run_that_there_is_ends(capsule: Capsule) -> None:
    then = await capsule.apply(declared("web", "then"), declared("job", "then"))
    await capsule.apply(declared("web", "now"), declared("job", "now"))
    web = capsule["web"]
    capsule.sees(EffectStarted("StartRun", "web", web.uid, run=1, revision=web.revision))
    done = await both(capsule, then)
    assert {one.name: one.restarts for one in done.items} == {"job": False, "web": True}


@living
async def test_what_would_wait_in_a_circle_is_left(capsule: Capsule) -> None:
    await capsule.make_volume("data")
    await capsule.apply(declared("b"), declared("api", "then"))
    await capsule.apply(mounting("a", "then", volume="data"))
    then = await capsule.apply(declared("b", "then", depends_on=("a",)))
    await capsule.apply(declared("b", "now"), declared("api", "now"))
    await capsule.apply(declared("a", "now", depends_on=("b",)))
    await capsule.lose_volume("data")
    done = await both(capsule, then)
    assert outcomes(done) == {"a": "left", "api": "configured", "b": "left"}
    assert reasons(done)["b"].startswith("b -> a -> b: each would wait for the next")


@living
async def test_what_one_alone_has_no_room_for_is_left_where_two_are_one_too_many(capsule: Capsule) -> None:
    """Each could take the last address, so each by itself may go back."""
    then = await capsule.apply(declared("api", "then"), at("web", port=8080), at("page", port=8081))
    for name in ("web", "page"):
        await capsule.lose(name)
    await capsule.apply(declared("api", "now"))
    capsule.narrow("172.20.0.0/30")
    done = await both(capsule, then)
    assert outcomes(done) == {"api": "configured", "page": "created", "web": "left"}
    assert "web cannot be put on the bridge" in reasons(done)["web"]


@living
async def test_the_refusal_of_one_alone_is_the_calls(capsule: Capsule) -> None:
    then = await capsule.apply(at("web", port=8080))
    await capsule.lose("web")
    await capsule.apply(at("web2", port=8080))
    for dry_run in (True, False):
        with pytest.raises(Refused) as refused:
            await capsule.rolled_back(then, "web", dry_run=dry_run)
        assert refused.value.refusal.reason == "PORT_TAKEN"


@living
async def test_a_plan_of_everything_says_what_it_was_made_for_and_what_came_since_is_not_taken_away(
    capsule: Capsule,
) -> None:
    then = await capsule.apply(declared("web", "then"))
    await capsule.apply(declared("web", "now"))
    planned = await capsule.rolled_back(then, dry_run=True)
    await capsule.apply(declared("sudden"))
    with pytest.raises(Refused) as refused:
        await capsule.rolled_back(then, expect_seq=planned.desired_seq)
    assert refused.value.refusal.reason == "SEQUENCE_MISMATCH"
    assert capsule.declared == {"web": "now", "sudden": ""}
    planned = await capsule.rolled_back(then, dry_run=True)
    assert outcomes(planned)["sudden"] == "deleted"
    await capsule.rolled_back(then, expect_seq=planned.desired_seq)
    assert capsule.declared == {"web": "then"}


# --- what was being deleted then ------------------------------------------------------------------------------------


@living
async def test_while_it_was_being_deleted_it_was_as_good_as_gone(capsule: Capsule) -> None:
    await capsule.apply(declared("web", "then"))
    while_it_went = await capsule.does(Delete("web"))
    after = capsule.sees(WorkloadRemoved("web", capsule["web"].uid))
    await capsule.apply(declared("web", "now"))
    for moment, what in ((while_it_went, "was being deleted"), (after, "did not exist")):
        for dry_run in (True, False):
            with pytest.raises(Refused) as refused:
                await capsule.rolled_back(moment, "web", dry_run=dry_run)
            assert refused.value.refusal.reason == "NOT_THERE_THEN"
            assert refused.value.refusal.message.startswith(f"web {what} after entry {moment}: ")
    assert capsule.declared == {"web": "now"}
    for moment in (while_it_went, after):
        assert outcomes(await capsule.rolled_back(moment, dry_run=True)) == {"web": "deleted"}


@living
async def test_of_one_that_was_being_deleted_then_and_is_gone_it_says_that_there_is_none(capsule: Capsule) -> None:
    await capsule.apply(declared("web"))
    then = await capsule.does(Delete("web"))
    capsule.sees(WorkloadRemoved("web", capsule["web"].uid))
    with pytest.raises(Refused) as refused:
        await capsule.rolled_back(then, "web")
    assert refused.value.refusal.reason == "WORKLOAD_NOT_FOUND"


@living
async def test_what_is_going_already_is_nobody_who_goes_with_it(capsule: Capsule) -> None:
    """Then nothing goes back where the others are left, and that is said."""
    await capsule.make_volume("data")
    then = await capsule.apply(mounting("db", "then", volume="data"))
    await capsule.apply(declared("db", "now"), declared("web"))
    await capsule.lose_volume("data")
    await capsule.does(Delete("web"))
    assert outcomes(await capsule.rolled_back(then, dry_run=True)) == {"db": "left"}
    with pytest.raises(Refused) as refused:
        await capsule.rolled_back(then)
    assert refused.value.refusal.reason == "NOTHING_GOES_BACK"


# --- from anywhere to anywhere --------------------------------------------------------------------------------------


async def live(capsule: Capsule, random: Random) -> None:
    """One thing that somebody asks for, or that happens. What is refused has changed nothing."""
    names, volumes = ("a", "b", "c", "d"), ("data", "more")
    name, machine = random.choice(names), capsule.engine.machine
    match random.choice(("apply", "apply", "apply", "delete", "end", "stop", "volume")):
        case "apply":
            ports = (PortMapping(80, random.choice((8080, 8081))),) if random.random() < 0.5 else ()
            mounts = tuple(VolumeMount(one, f"/{one}") for one in volumes if random.random() < 0.3)
            needs = tuple(one for one in names if one != name and random.random() < 0.2)
            one = declared(name, random.choice("xyz"), ports=ports, network="bridge", depends_on=needs)
            await capsule.tries(Apply((replace(one, spec=replace(one.spec, mounts=mounts)),)))
        case "delete":
            await capsule.tries(Delete(name))
        case "stop":
            await capsule.tries(Stop(name))
        case "end":
            for going in [one for one in machine.workloads.values() if one.desired == "deleting"]:
                capsule.sees(WorkloadRemoved(going.name, going.uid))
        case _:
            volume = machine.volumes.get(which := random.choice(volumes))
            if volume is None:
                await capsule.make_volume(which)
            elif random.random() < 0.2:
                await capsule.lose_volume(which)


def as_declared(one: Workload) -> tuple[object, ...]:
    return one.spec, one.labels, one.depends_on, one.desired, one.drift


@pytest.mark.parametrize("seed", range(60))
def test_of_everything_each_is_as_it_was_or_named(tmp_path: Path, seed: int) -> None:
    random, capsule = Random(f"rollbacks {seed}"), Capsule(tmp_path)

    async def main() -> None:
        pasts: list[Machine] = []
        for _ in range(random.randint(10, 40)):
            await live(capsule, random)
            if capsule.engine.machine.seq:
                pasts.append(capsule.engine.machine.fork())
        then, now = random.choice(pasts), capsule.engine.machine.fork()
        try:
            planned = await capsule.rolled_back(then.seq, dry_run=True)
        except Refused:
            going = target(now, then)
            assert len(going.back) == 1 and not (going.gone or going.left), (
                "only the refusal of one alone is the call's"
            )
            return
        left = reasons(planned)
        try:
            done = await capsule.rolled_back(then.seq)
        except Refused as refused:
            assert refused.refusal.reason == "NOTHING_GOES_BACK" and len(left) == len(planned.items) > 0
            return
        assert done.items == planned.items
        after = capsule.engine.machine.workloads
        for name in now.workloads.keys() | then.workloads.keys():
            was, is_there = then.workloads.get(name), name in capsule.declared
            if name in left:
                assert after.get(name) == now.workloads.get(name)
            elif was is None or was.desired == "deleting":
                assert not is_there
            else:
                assert is_there and as_declared(after[name]) == as_declared(was)

    asyncio.run(main())
