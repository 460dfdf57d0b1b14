"""The state may run ahead of the disk while an answer is made of it: nothing is told before what it tells of is durable."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from capsule.v1 import stats_pb2
from capsule.v1 import volume_pb2 as pb
from capsuled.denials import Denials
from capsuled.doors import NetworkDoor
from capsuled.entered import Entered, Visit
from capsuled.heads import Heads
from capsuled.interceptor import Interceptor
from capsuled.limits import Limits
from capsuled.live import LiveStreams
from capsuled.methods import Methods
from capsuled.replays import ReplayGuard
from capsuled.roles import rule_of
from capsuled.sampler import Sampler
from capsuled.services.stats import StatsService
from capsuled.session import Session
from capsuled.terms import Terms
from journal.entry import LOCAL
from journal.errors import JournalFailed
from journal.events import (
    DaemonStopped,
    OperatorEnrolled,
    OperatorRemoved,
    OperatorRoleChanged,
    VolumeApplied,
    VolumeMade,
    VolumeRemoved,
    WorkloadRemoved,
)
from tests.conformance.client import Key
from tests.support.clock import HandClock
from tests.support.storehouse import MIB, Storehouse
from tests.unit.capsuled.test_call_ids import House, Ledger, caller
from tests.unit.capsuled.test_changes import settled

SOMETHING = DaemonStopped(reason="asked to")
CAPSULE = "a2a1f1b0-0000-4000-8000-000000000000"
KEY = Key()
ENROLLED = OperatorEnrolled(KEY.kid, KEY.public.hex(), "ada", "admin", how="adopted")


class Stepwise(Ledger):
    """A log that is on the disk up to where the test has `written` it."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__(clock)
        self._upto = 0
        self._step = asyncio.Event()

    async def durable(self, seq: int) -> None:
        while seq > self._upto:
            await self._step.wait()

    def written(self, upto: int) -> None:
        self._upto = upto
        self._step.set()
        self._step = asyncio.Event()


def slowly(story: Callable[[Storehouse, Stepwise], Awaitable[None]]) -> Callable[[], None]:
    """A test on a disk that is written by the test itself."""

    def test() -> None:
        async def main() -> None:
            storehouse = Storehouse(House(Stepwise))
            log = storehouse.house.log
            assert isinstance(log, Stepwise)
            await story(storehouse, log)

        asyncio.run(main())

    test.__name__ = story.__name__
    return test


async def until_ended(answer: asyncio.Future[Any], log: Stepwise, last: int) -> Any:
    """Its end, which has to wait for entry `last`, though the state shows that one as soon as the one before it is
    waited for."""
    await settled()
    log.written(last - 1)
    await settled()
    assert not answer.done()
    log.written(last)
    return await asyncio.wait_for(answer, 5)


@slowly
async def test_a_deletion_is_over_once_its_end_is_durable(storehouse: Storehouse, log: Stepwise) -> None:
    engine = storehouse.engine
    log.written(1_000)
    await storehouse.house.apply(caller("apply"))
    uid = engine.machine.workloads["web"].uid
    log.written(seq := engine.machine.seq)
    gone = asyncio.ensure_future(engine.gone("web", uid))
    await settled()
    storehouse.happens(SOMETHING)
    await settled()
    storehouse.happens(WorkloadRemoved("web", uid))
    await until_ended(gone, log, seq + 2)


@slowly
async def test_a_volume_is_told_of_once_it_is_durably_made(storehouse: Storehouse, log: Stepwise) -> None:
    log.written(2)
    creating = storehouse.begin(storehouse.volumes.Create, pb.VolumeCreateRequest(name="data", size_mib=16))
    await settled()
    storehouse.happens(SOMETHING)
    await settled()
    storehouse.happens(VolumeMade("data", storehouse.data.uid, 16 * MIB))
    assert (await until_ended(creating, log, 4)).size_bytes == 16 * MIB


class Context:
    """What a call tells gRPC of."""

    def __init__(self) -> None:
        self.code: grpc.StatusCode | None = None

    def peer(self) -> str:
        return "unix:"

    async def read(self) -> Any:
        await asyncio.Event().wait()

    async def abort(self, code: grpc.StatusCode, message: str, trailing_metadata: Any) -> None:
        self.code = code
        raise grpc.aio.AbortError


def read(storehouse: Storehouse, context: Context) -> asyncio.Task[Any]:
    """`VolumeService.Get` of the volume `data`, by way of the door."""
    ignored: Any = None
    terms = Terms(storehouse.engine, ignored, LiveStreams(), lambda *read: None, ignored, Heads(None), ignored)
    handler = SimpleNamespace(
        unary_unary=storehouse.volumes.Get,
        request_deserializer=pb.VolumeGetRequest.FromString,
        response_streaming=False,
    )
    method = "VolumeService/Get"
    entered = Entered(terms, handler, Visit(method, rule_of(method), {}, 0), Session(LOCAL))
    return asyncio.ensure_future(entered.one_message(pb.VolumeGetRequest(name="data").SerializeToString(), context))


@slowly
async def test_a_read_waits_for_what_it_was_answered_from(storehouse: Storehouse, log: Stepwise) -> None:
    storehouse.happens(SOMETHING, VolumeApplied("data", 16 * MIB, created=True))
    answer = await until_ended(read(storehouse, Context()), log, 2)
    assert answer.size_bytes == 16 * MIB


@slowly
async def test_that_something_is_not_there_any_more_waits_too(storehouse: Storehouse, log: Stepwise) -> None:
    storehouse.happens(VolumeApplied("data", 16 * MIB, created=True), VolumeRemoved("data", 1))
    context = Context()
    with pytest.raises(grpc.aio.AbortError):
        await until_ended(read(storehouse, context), log, 2)
    assert context.code is grpc.StatusCode.NOT_FOUND


@slowly
async def test_a_read_tells_of_nothing_that_came_to_be_while_it_waited(storehouse: Storehouse, log: Stepwise) -> None:
    storehouse.happens(SOMETHING)
    context = Context()
    answer = read(storehouse, context)
    await settled()
    storehouse.happens(VolumeApplied("data", 16 * MIB, created=True))
    log.written(1)
    with pytest.raises(grpc.aio.AbortError):
        await asyncio.wait_for(answer, 5)
    assert context.code is grpc.StatusCode.NOT_FOUND


@slowly
async def test_a_read_does_not_miss_what_went_while_it_waited(storehouse: Storehouse, log: Stepwise) -> None:
    storehouse.happens(VolumeApplied("data", 16 * MIB, created=True), SOMETHING)
    log.written(1)
    answer = read(storehouse, Context())
    await settled()
    storehouse.happens(VolumeRemoved("data", 1))
    log.written(2)
    assert (await asyncio.wait_for(answer, 5)).size_bytes == 16 * MIB


def knock(storehouse: Storehouse, context: Context, *, streams: bool) -> asyncio.Task[Any]:
    """A call over the network, with a token of `KEY`: of one message, or of one whose answer is a stream."""
    engine, clock = storehouse.engine, storehouse.house.clock
    handler = grpc.unary_stream_rpc_method_handler(lambda *call: None)
    methods = Methods()
    methods.add_registered_method_handlers(
        "capsule.v1.VolumeService",
        {"Create": grpc.unary_unary_rpc_method_handler(storehouse.volumes.Create), "Watch": handler},
    )
    door = NetworkDoor(CAPSULE, lambda: engine.machine.operators, ReplayGuard(), clock.wall_ns)
    interceptor = Interceptor(
        methods, door, engine, Denials(engine, clock), LiveStreams(), lambda *read: None, clock, Limits(), Heads(None)
    )
    details = SimpleNamespace(
        method=f"/capsule.v1.VolumeService/{'Watch' if streams else 'Create'}",
        invocation_metadata=(("authorization", f"Bearer {KEY.token(CAPSULE, clock.wall_ns() // 10**9)}"),),
    )
    met = interceptor.service(details)  # type: ignore[arg-type]

    async def called() -> Any:
        if streams:
            return await anext(met.stream_stream(None, context))
        return await met.stream_unary(None, context)

    return asyncio.ensure_future(called())


async def sent_away(storehouse: Storehouse, log: Stepwise, *, streams: bool) -> grpc.StatusCode | None:
    """With what, once all is durable but the entry that tells of the denial."""
    context, last = Context(), storehouse.engine.machine.seq
    with pytest.raises(grpc.aio.AbortError):
        await until_ended(knock(storehouse, context, streams=streams), log, last)
    assert storehouse.engine.machine.seq == last + 1, "the denial itself is remembered, and not waited for"
    return context.code


@slowly
async def test_that_a_key_opens_nothing_any_more_waits_too(storehouse: Storehouse, log: Stepwise) -> None:
    storehouse.happens(ENROLLED, SOMETHING, OperatorRemoved(KEY.kid))
    for streams in (False, True):
        assert await sent_away(storehouse, log, streams=streams) is grpc.StatusCode.UNAUTHENTICATED


@slowly
async def test_that_a_role_does_not_suffice_any_more_waits_too(storehouse: Storehouse, log: Stepwise) -> None:
    storehouse.happens(ENROLLED, SOMETHING, OperatorRoleChanged(KEY.kid, "reader"))
    assert await sent_away(storehouse, log, streams=False) is grpc.StatusCode.PERMISSION_DENIED


@slowly
async def test_who_is_sent_away_by_what_is_never_durable_hears_of_the_journal(
    storehouse: Storehouse, log: Stepwise
) -> None:
    async def failed(seq: int) -> None:
        raise JournalFailed("the disk is gone")

    log.durable = failed  # type: ignore[method-assign]
    storehouse.happens(ENROLLED, OperatorRemoved(KEY.kid))
    for streams in (False, True):
        context = Context()
        with pytest.raises(grpc.aio.AbortError):
            await asyncio.wait_for(knock(storehouse, context, streams=streams), 5)
        assert context.code is grpc.StatusCode.UNAVAILABLE


@slowly
async def test_a_sample_of_a_watch_waits_for_what_runs_in_it(storehouse: Storehouse, log: Stepwise) -> None:
    engine, clock = storehouse.engine, storehouse.house.clock
    service = StatsService(engine, Sampler(engine, {}, clock), clock)
    watch = service.Watch(stats_pb2.StatsWatchRequest(), None)
    storehouse.happens(SOMETHING)
    first = asyncio.ensure_future(anext(watch))
    await settled()
    storehouse.happens(SOMETHING, SOMETHING)
    await until_ended(first, log, 3)
