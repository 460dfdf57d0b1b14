"""How many streams and silent calls one key may have: others find room, and nothing stays counted."""

import asyncio
from contextlib import ExitStack

import pytest

from capsule.v1 import drift_pb2 as pb
from capsuled.limits import Limits
from capsuled.live import LiveStreams
from capsuled.roles import rule_of
from capsuled.rpc import Refused
from capsuled.services.drift import DriftService
from projections import drift
from projections.state import Machine
from tests.unit.capsuled.test_call_ids import House, caller, living

FEW = Limits(streams_each=3, silent_each=2, calls_each=2)
WATCH = rule_of("MachineService/Watch")


def test_one_key_leaves_room_on_the_network_whatever_it_does() -> None:
    limits = Limits()
    assert limits.streams_each + limits.silent_each < limits.calls // 2
    assert limits.streams_each + limits.silent_each + limits.calls_each < limits.calls * 2 // 3
    assert Limits().silent_each >= Limits().streams, "whatever one connection asks for at once"


def test_a_key_has_so_many_streams_and_another_has_its_own() -> None:
    async def main() -> None:
        live = LiveStreams()
        with ExitStack() as open_streams:
            for _ in range(3):
                live.check("ann", FEW)
                open_streams.enter_context(live.opened("ann", "reader", WATCH))
            with pytest.raises(Refused) as caught:
                live.check("ann", FEW)
            refusal = caught.value.refusal
            assert (refusal.code, refusal.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY_STREAMS")
            live.check("bob", FEW)
        live.check("ann", FEW)

    asyncio.run(main())


def test_calls_that_say_nothing_are_counted_apart_until_they_do() -> None:
    live = LiveStreams()
    with live.silent("ann", FEW), live.silent("ann", FEW):
        with pytest.raises(Refused) as caught, live.silent("ann", FEW):
            pass
        assert caught.value.refusal.reason == "TOO_MANY_SILENT"
        live.check("ann", FEW)
        with live.silent("bob", FEW):
            pass
    with live.silent("ann", FEW), live.silent("ann", FEW):
        pass
    assert not live._silent


def test_calls_that_are_not_answered_yet_are_counted_apart_for_each_key() -> None:
    live = LiveStreams()
    with live.asking("ann", FEW), live.asking("ann", FEW):
        with pytest.raises(Refused) as caught, live.asking("ann", FEW):
            pass
        assert (caught.value.refusal.code, caught.value.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY_CALLS")
        live.check("ann", FEW)
        with live.asking("bob", FEW), live.silent("ann", FEW):
            pass
    with live.asking("ann", FEW):
        pass
    assert not live._asking


def test_what_a_call_has_to_put_away_is_waited_for_and_not_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    async def handle(live: LiveStreams, may_end: asyncio.Event) -> None:
        live.entered()
        try:
            await asyncio.Event().wait()
        finally:
            await may_end.wait()

    async def main() -> None:
        live, may_end = LiveStreams(), asyncio.Event()
        await live.closed(60)
        handling = asyncio.ensure_future(handle(live, may_end))
        await asyncio.sleep(0)
        handling.cancel()
        await live.closed(0.01)
        assert "have not put away what they had" in caplog.text and not handling.done()
        asyncio.get_running_loop().call_later(0.05, may_end.set)
        await live.closed(60)
        assert handling.done()

    asyncio.run(main())


@living
async def test_differences_are_found_out_once_after_an_entry_for_all_who_watch(house: House) -> None:
    found: list[int] = []

    def counted(machine: Machine) -> tuple[drift.Difference, ...]:
        found.append(machine.seq)
        return drift.drift(machine)

    service = DriftService(house.engine, counted)
    watching = [aiter(service.Watch(pb.DriftRequest(), None)) for _ in range(20)]
    for one in watching:
        assert (await anext(one)).synced
    await house.apply(caller("one"))
    items = [await anext(one) for one in watching]
    assert items == [items[0]] * 20 and items[0].difference.object == "workload/web"
    named = aiter(service.Watch(pb.DriftRequest(names=["web"]), None))
    assert (await anext(named)).difference == items[0].difference
    assert found == [0, house.engine.machine.seq]
    for one in (*watching, named):
        await one.aclose()  # type: ignore[attr-defined]
