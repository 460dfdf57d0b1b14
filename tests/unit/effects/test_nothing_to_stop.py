"""A stop that finds nothing of its run: whether that was lost or never there is what the journal has seen of it."""

import asyncio
from typing import Any

import pytest

from effects.actions import Actions
from effects.goals import StopRun
from journal.clock import SystemClock
from journal.events import EffectFailed, EffectStarted, Event, WorkloadDeleteRequested, WorkloadLost
from projections.failures import failed
from projections.phases import RunPhase
from tests.support.kept import Kept
from tests.support.story import Story, declared


class Bare:
    """A runtime in which there is nothing."""

    async def stop(self, name: str, uid: int, run: int, grace_ms: int) -> None:
        """Nobody ends."""

    async def remove_run(self, name: str, uid: int, run: int) -> None:
        """It is gone already."""


def stopped(story: Story) -> tuple[Event, ...]:
    nobody: Any = None
    runs: Any = {"container": Bare()}
    actions = Actions(Kept(story.machine), runs, nobody, nobody, nobody, nobody, nobody, SystemClock())
    return asyncio.run(actions.reach(StopRun("web", story["web"].uid, 1, 10_000, None, 1), 1))


@pytest.mark.parametrize("ran", [False, True])
def test_a_run_that_never_came_to_life_is_not_lost(ran: bool) -> None:
    story = Story()
    story.apply(declared("web"))
    uid = story["web"].uid
    if ran:
        story.run_starts("web")
    else:
        story.tell(EffectStarted("StartRun", "web", uid, run=1, revision=uid))
        story.tell(EffectFailed("StartRun", "web", uid, "NO_COMMAND", "no such program", run=1, permanent=True))
    story.tell(WorkloadDeleteRequested("web", uid))
    (event,) = stopped(story)
    assert isinstance(event, WorkloadLost) and event.unborn is not ran and not event.restart
    assert failed(story.entries[-1][0], event) is ran
    story.tell(event)
    run = story["web"].run
    assert run is None or run.phase is RunPhase.LOST, "either way it is over"
