"""Moments of one workload's life, to go on from."""

from journal.events import (
    AppliedWorkload,
    EffectStarted,
    WorkloadApplied,
    WorkloadExited,
    WorkloadStarted,
)
from projections.state import Run
from tests.support.story import Story, spec


def item(*args: str, name: str = "web", **fields: object) -> AppliedWorkload:
    return AppliedWorkload(name, "container", spec(*args), **fields)  # type: ignore[arg-type]


def created() -> Story:
    story = Story()
    story.tell(WorkloadApplied((item(created=True),)))
    return story


def running() -> Story:
    story = created()
    story.tell(EffectStarted("StartRun", "web", 1, run=1, revision=1), WorkloadStarted("web", 1, 1, 1, pid=9))
    return story


def ended(code: int = 1, **verdict: object) -> Story:
    story = running()
    story.tell(WorkloadExited("web", 1, 1, code, **verdict))  # type: ignore[arg-type]
    return story


def run_of(story: Story, name: str = "web") -> Run:
    run = story[name].run
    assert run is not None
    return run
