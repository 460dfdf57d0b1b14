"""Each kind of workload is followed by itself."""

import asyncio

import pytest

from capsuled.engine import Engine
from capsuled.observer import Observer
from effects.errors import RuntimeUnavailable
from effects.runs.protocol import RunSpec
from effects.runs.twin import TwinContainers, World
from journal.events import WorkloadExited, WorkloadLost
from journal.specs import Kind, MicroVM
from projections.words import KINDS
from tests.support.story import Story, declared
from tests.support.until import until
from tests.unit.capsuled.test_emergency import DIGEST, Brim, Doze


def test_what_one_runtime_does_not_tell_hides_no_end_from_another_and_loses_nothing() -> None:
    story = Story()
    for one in (declared("web", "serve"), declared("vm", "serve", vm=MicroVM())):
        story.apply(one)
        story.run_starts(one.name)
    log = Brim(story.machine.seq)
    log.full = False
    world = World({DIGEST})

    async def down(point: str) -> None:
        raise RuntimeUnavailable("no containerd")

    async def up(point: str) -> None:
        pass

    async def inside() -> None:
        microvms, clock = TwinContainers(world, up, kind="microvm"), Doze()
        uid = story["vm"].uid
        await microvms.ensure_running(RunSpec("vm", uid, uid, 1, DIGEST, args=("serve",), vm=MicroVM()))
        engine = Engine(log, story.machine, clock, frozenset({"microvm"}))
        observer = Observer(
            engine, {"container": TwinContainers(World(set()), down), "microvm": microvms}, clock, frozen=False
        )
        following = asyncio.ensure_future(observer.run())
        await clock.asleep.wait()
        assert not observer.synced.is_set() and log.entries == []
        world.end(("vm", uid, 1), 7)
        await until(lambda: log.entries)
        following.cancel()
        ((_, told),) = log.entries
        assert isinstance(told, WorkloadExited) and (told.name, told.exit_code) == ("vm", 7)

    asyncio.run(inside())
    assert not any(isinstance(event, WorkloadLost) for _, event in log.entries)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lost_runs", [1, 4], ids=["the next", "a later"])
def test_what_runs_on_from_entries_that_the_journal_lost_is_ended_before_anything_is_planned(
    kind: Kind, lost_runs: int
) -> None:
    """As where an export was put in a damaged journal's place: two runs on one volume would spoil what is in it."""
    story = Story()
    vm = MicroVM() if kind == "microvm" else None
    story.apply(declared("web", "serve", vm=vm))
    story.run_starts("web")
    log = Brim(story.machine.seq)
    log.full = False
    world = World({DIGEST})
    uid = story["web"].uid

    async def up(point: str) -> None:
        pass

    async def inside() -> None:
        driver = TwinContainers(world, up, kind=kind)
        await driver.ensure_running(RunSpec("web", uid, uid, 1 + lost_runs, DIGEST, args=("serve",), vm=vm))
        engine = Engine(log, story.machine, Doze(), frozenset({"microvm"}))
        observer = Observer(engine, {kind: driver}, Doze(), frozen=False)
        following = asyncio.ensure_future(observer.run())
        await observer.synced.wait()
        following.cancel()

    asyncio.run(inside())
    assert not world.containers
    ((_, told),) = log.entries
    assert isinstance(told, WorkloadLost) and (told.run, told.restart) == (1, True)
