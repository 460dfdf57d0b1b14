"""A workload's link to the bridge: of which kind, and what becomes of a microVM whose link was made anew under it."""

import asyncio
from typing import Any

import pytest

from effects.actions import Actions
from effects.goals import AttachNetwork
from effects.network.protocol import LinkKind
from effects.network.twin import Cables, TwinNetwork
from effects.planner import plan
from journal.events import Event, NetworkAttached, NetworkDrifted
from journal.specs import MicroVM
from tests.support.kept import Kept
from tests.support.story import Story, declared


async def _no_step(point: str) -> None:
    await asyncio.sleep(0)


def _reached(story: Story, cables: Cables, name: str) -> NetworkAttached:
    nobody: Any = None
    workload = story[name]
    goal = AttachNetwork(name, workload.uid, workload.address, kind=workload.kind)
    network = TwinNetwork(cables, _no_step)

    async def inside() -> tuple[Event, ...]:
        await network.ensure(())
        actions = Actions(Kept(story.machine), nobody, network, nobody, nobody, nobody, nobody, nobody)
        return await actions.reach(goal, 1)

    (event,) = asyncio.run(inside())
    assert isinstance(event, NetworkAttached)
    return event


@pytest.mark.parametrize(("vm", "kind"), [(None, "veth"), (MicroVM(), "tap")])
def test_a_container_has_a_veth_and_a_microvm_a_tap(vm: MicroVM | None, kind: LinkKind) -> None:
    story, cables = Story(), Cables()
    story.apply(declared("web", network="bridge") if vm is None else declared("web", vm=vm))
    assert not _reached(story, cables, "web").anew, "nothing runs yet"
    assert [link.kind for link in cables.links.values()] == [kind]


def test_a_microvm_whose_tap_another_hand_took_is_started_anew_and_one_that_still_has_its_own_is_not() -> None:
    story, cables = Story(), Cables()
    story.apply(declared("vm", vm=MicroVM()))
    story.tell(_reached(story, cables, "vm"))
    story.run_starts("vm")
    key = "vm", story["vm"].uid
    cables.opened.add(key)
    story.tell(NetworkDrifted("its link is gone", *key))
    story.tell(_reached(story, cables, "vm"))
    assert story["vm"].superseded == 0, "it was pulled from the bridge, and is the same"
    cables.cut(key)
    story.tell(NetworkDrifted("its link is gone", *key))
    event = _reached(story, cables, "vm")
    assert event.anew
    story.tell(event)
    assert story["vm"].superseded == 1 and story.next_goal("vm") == "StopRun"


def test_so_is_one_whose_start_nobody_was_told_of() -> None:
    story, cables = Story(), Cables()
    story.apply(declared("vm", vm=MicroVM()))
    story.tell(_reached(story, cables, "vm"))
    while story.next_goal("vm") != "StartRun":
        story.reach(next(goal for goal in plan(story.machine) if goal.name == "vm"))
    story.begin(next(goal for goal in plan(story.machine) if goal.name == "vm"))
    key = "vm", story["vm"].uid
    cables.cut(key)
    story.tell(NetworkDrifted("its link is gone", *key))
    event = _reached(story, cables, "vm")
    assert event.anew, "it may live, and have the old one open"
    story.tell(event)
    assert story["vm"].superseded == 1
    for goal in ("StopRun", "StartRun"):
        assert story.next_goal("vm") == goal
        story.reach(next(one for one in plan(story.machine) if one.name == "vm"))
