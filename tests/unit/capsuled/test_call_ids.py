"""A call's id: the same call gets the same answer and adds nothing, another call is told so, and nothing waits for ever."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from stat import S_IFREG

import pytest
from msgspec import to_builtins

from capsule.v1 import workload_pb2 as pb
from capsuled.answers import Answers, Ends
from capsuled.caller import Caller, Outcome
from capsuled.declare import Declarations
from capsuled.engine import Engine
from capsuled.resolve import Resolver
from capsuled.rpc import Refused
from capsuled.sealing import PREFIX
from effects.host_paths import HostPaths
from effects.images.registry_twin import NOWHERE
from effects.images.twin import CacheWorld, TwinImages
from journal.entry import LOCAL, Actor, Header, genesis
from journal.events import CallAccepted, Event
from journal.reader import objects_of
from journal.sequencer import Chain, Draft, Stamp, bodies_of
from projections.fold import fold
from projections.intents import DEFAULT_SUBNET, Delete, Start, Stop
from projections.refusals import Refusal
from projections.state import Machine
from tests.support.clock import HandClock
from tests.support.story import ALL
from tests.support.vault import OpenVault

WEEK_S = 7 * 24 * 3600
KEY = b"the machine's own"
IMAGE = "docker.io/library/app:1"


class Ledger:
    """A log in memory. `gate` holds commits up, as a slow disk does; `waiting` is how many wait at it."""

    def __init__(self, clock: HandClock) -> None:
        self.entries: list[tuple[Header, Event]] = []
        self.clock = clock
        self.chain = Chain(0, genesis(b"in memory"))
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0

    def check(self) -> None:
        return None

    def append(
        self, drafts: Sequence[Draft], *, reserved: bool = False, vital: bool = False
    ) -> Sequence[tuple[Header, Event]]:
        stamp = Stamp(self.clock.wall_ns(), self.clock.boot_id, self.clock.mono_ns(), "0.0.1", "")
        batch = self.chain.link(drafts, bodies_of(drafts), stamp)
        self.entries += batch.entries
        return batch.entries

    async def durable(self, seq: int) -> None:
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1

    async def after(self, call: int) -> tuple[Machine, tuple[Event, ...]]:
        """See capsuled.answers.Past."""
        machine, events = Machine(), []
        for header, event in self.entries:
            if header.seq > call and header.call != call:
                break
            fold(machine, header, event)
            if header.seq > call:
                events.append(event)
        return machine, tuple(events)

    async def first(self, call: int, about: str | type[Event], ends: Ends) -> Event | None:
        """See capsuled.answers.Past."""
        for header, event in self.entries:
            named = event.__class__ is about or about in objects_of(to_builtins(event))
            if header.seq > call and named and ends(header, event):
                return event
        return None


class House:
    """The way of a call, without disk, drivers and wire."""

    def __init__(self, log: Callable[[HandClock], Ledger] = Ledger) -> None:
        self.clock = HandClock()
        self.log = log(self.clock)
        self.engine = Engine(self.log, Machine(), self.clock, ALL, KEY)
        self.cache = CacheWorld()
        self.cache.bring(IMAGE, "sha256:" + "1" * 64)
        resolver = Resolver(
            TwinImages(self.cache), NOWHERE, OpenVault(), DEFAULT_SUBNET, paths=HostPaths(lambda path: S_IFREG)
        )
        self.declarations = Declarations(self.engine, resolver, Answers(self.engine, self.log))

    async def apply(self, caller: Caller, *, name: str = "web", **fields: object) -> tuple[str, int, pb.Workload]:
        message = pb.Workload(name=name, container=pb.ContainerSpec(**{"image": "app:1", **fields}))  # type: ignore[arg-type]
        result = await self.declarations.apply([message], caller, expect_seq=None, pull=False, dry_run=False)
        from capsuled.wire import workload_message

        return result.outcomes[0], result.seq, workload_message(result.machine, result.machine.workloads[name])


def caller(call_id: str = "one", args: str = "args", method: str = "Stop", actor: Actor = LOCAL) -> Caller:
    return Caller(actor, method, call_id, args)


def living(story: Callable[[House], Awaitable[None]]) -> Callable[[], None]:
    """A test that runs in a house of its own."""

    def test() -> None:
        async def main() -> None:
            await story(House())

        asyncio.run(main())

    test.__name__ = story.__name__
    return test


def reason(answer: object) -> str:
    assert isinstance(answer, Refusal), answer
    return answer.reason


@living
async def test_the_same_call_gets_the_same_answer_and_adds_nothing(house: House) -> None:
    await house.apply(caller("apply"))
    first = await house.engine.call(Stop("web"), caller())
    count = len(house.log.entries)
    again = await house.engine.call(Stop("web"), caller())
    assert isinstance(first, Outcome) and isinstance(again, Outcome)
    assert again.seq == first.seq and again.repeated and not first.repeated
    assert len(house.log.entries) == count


@living
async def test_an_apply_is_answered_from_the_state_as_it_was(house: House) -> None:
    first = await house.apply(caller("one", "a"), user="web")
    await house.apply(caller("two", "b"), user="root")
    await house.engine.call(Stop("web"), caller("three"))
    assert await house.apply(caller("one", "a"), user="web") == first
    assert first[0] == "created" and first[2].container.user == "web"


@living
async def test_an_apply_is_answered_when_its_workload_and_its_image_are_gone(house: House) -> None:
    first = await house.apply(caller("one", "a"), env={"A": "secret"})
    del house.engine.machine.workloads["web"]
    house.cache.records.clear()
    assert await house.apply(caller("one", "a"), env={"A": "secret"}) == first


@living
async def test_an_apply_that_kept_a_sealed_value_is_answered_when_the_value_is_another_now(house: House) -> None:
    await house.apply(caller("one", "a"), env={"A": "secret"})
    kept = {"A": f"{PREFIX}hash-of-secret"}
    second = await house.apply(caller("two", "b"), env=kept, user="web")
    await house.apply(caller("three", "c"), env={"A": "other"})
    assert await house.apply(caller("two", "b"), env=kept, user="web") == second


@living
async def test_other_arguments_under_the_same_id_are_refused_and_say_why(house: House) -> None:
    await house.apply(caller("apply"))
    await house.engine.call(Stop("web"), caller())
    answer = await house.engine.call(Stop("web"), caller(args="others"))
    assert isinstance(answer, Refusal)
    assert (answer.code, answer.reason, answer.fields) == ("INVALID_ARGUMENT", "CALL_ID_REUSED", ("capsule-call-id",))
    with pytest.raises(Refused, match="other arguments"):
        await house.apply(caller("apply", "others"))


@living
async def test_an_id_is_an_actors_and_a_methods_own(house: House) -> None:
    await house.apply(caller("apply"))
    await house.engine.call(Stop("web"), caller())
    for other in (caller(method="Start"), caller(actor=Actor("operator", "kid", "ada", "admin"))):
        answer = await house.engine.call(Start("web"), other)
        assert isinstance(answer, Outcome) and not answer.repeated


@living
async def test_a_call_without_id_is_a_new_one_each_time(house: House) -> None:
    await house.apply(caller("apply"))
    seqs = {(await house.engine.call(Stop("web"), caller(""))).seq for _ in range(3)}  # type: ignore[union-attr]
    assert len(seqs) == 3 and not any(key[2] == "" for key in house.engine.machine.calls)


@living
async def test_a_call_in_flight_is_waited_for_and_answered_once(house: House) -> None:
    await house.apply(caller("apply"))
    house.log.gate.clear()
    calls = [asyncio.ensure_future(house.engine.call(Stop("web"), caller())) for _ in range(5)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not any(call.done() for call in calls)
    house.log.gate.set()
    answers = await asyncio.gather(*calls)
    assert len({answer.seq for answer in answers if isinstance(answer, Outcome)}) == 1
    assert [answer.repeated for answer in answers if isinstance(answer, Outcome)].count(False) == 1
    told = [event for _, event in house.log.entries if isinstance(event, CallAccepted) and event.call_id == "one"]
    assert len(told) == 1


@living
async def test_a_call_whose_client_went_away_does_not_block_the_next_of_its_id(house: House) -> None:
    await house.apply(caller("apply"))
    house.log.gate.clear()
    gone = asyncio.ensure_future(house.engine.call(Stop("web"), caller()))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    house.log.gate.set()
    answer = await house.engine.call(Stop("web"), caller())
    assert isinstance(answer, Outcome) and answer.repeated, "it was accepted, whoever heard of it"


@living
async def test_a_refusal_is_not_sticky(house: House) -> None:
    assert reason(await house.engine.call(Stop("web"), caller())) == "WORKLOAD_NOT_FOUND"
    await house.apply(caller("apply"))
    answer = await house.engine.call(Stop("web"), caller())
    assert isinstance(answer, Outcome) and not answer.repeated


@living
async def test_an_id_expires_by_the_machines_own_age(house: House) -> None:
    await house.apply(caller("apply"))
    await house.engine.call(Stop("web"), caller())
    house.clock.wall += 10**18
    house.clock.mono += (WEEK_S - 1) * 10**9
    answer = await house.engine.call(Stop("web"), caller())
    assert isinstance(answer, Outcome) and answer.repeated, "a wall clock that jumps expires nothing"
    house.clock.mono += 2 * 10**9
    refused = await house.engine.call(Stop("web"), caller())
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "CALL_ID_EXPIRED")


@living
async def test_a_machine_that_is_off_does_not_age(house: House) -> None:
    await house.apply(caller("apply"))
    await house.engine.call(Stop("web"), caller())
    house.clock.boot_id, house.clock.mono = "boot-2", 10**9
    house.clock.wall += 10 * WEEK_S * 10**9
    answer = await house.engine.call(Stop("web"), caller())
    assert isinstance(answer, Outcome) and answer.repeated


@living
async def test_what_stands_in_the_journal_of_the_arguments_is_keyed(house: House) -> None:
    import hashlib

    digest = hashlib.sha256(b"a call with a secret").hexdigest()
    await house.apply(caller("one", digest))
    (accepted,) = [event for _, event in house.log.entries if isinstance(event, CallAccepted)]
    assert accepted.args_hash and accepted.args_hash not in (digest, hashlib.sha256(digest.encode()).hexdigest())
    other = Engine(house.log, house.engine.machine, house.clock, ALL, b"another machine's")
    assert reason(await other.call(Delete("web"), caller("one", digest, "Stop"))) == "CALL_ID_REUSED"
