"""What is ill again and again is told once, and counted, with what to do about a check that never says well."""

import pytest
from msgspec.structs import replace

from journal.entry import EFFECT
from journal.events import EffectDone, EffectStarted, WorkloadHealthChanged
from journal.specs import HealthCheck
from projections.advice import BY_DETAIL, ILL_AGAIN
from projections.chain import Past
from projections.details import Detail
from projections.why import Why, why_workload
from tests.support.story import Story, declared
from tests.unit.projections.test_why import past_of

SICK = "is unhealthy: 3 failures in a row, the last: its check exited with code 1; it is to end for it"


@pytest.fixture
def story() -> Story:
    """Web has a check."""
    made, web = Story(), declared("web")
    made.apply(replace(web, spec=replace(web.spec, health=HealthCheck("exec", ("true",)))))
    return made


def falls_ill(story: Story, message: str = "exited with code 1") -> None:
    number, uid = story.run_starts("web"), story["web"].uid
    story.tell(WorkloadHealthChanged("web", uid, number, "unhealthy", 3, message, restart=True))
    story.tell(EffectStarted("StopRun", "web", uid, run=number))
    story.run_ends("web", 143)
    story.tell(EffectDone("StopRun", "web", uid, run=number))
    story.cleaned("web")
    story.pass_time(120)


def linked(story: Story, straight: bool) -> Past:
    """As the journal has it: the stop follows from what the check said, and the next start from the end before it, or
    (`straight`) from what the check said as well."""
    past, ill = past_of(story), 0
    for seq, (header, event) in past.items():
        ill = seq if isinstance(event, WorkloadHealthChanged) else ill
        if isinstance(event, EffectStarted) and ill and (straight or event.effect == "StopRun"):
            past[seq] = (replace(header, cause=ill, actor=EFFECT), event)
    return past


def why(story: Story, straight: bool = False) -> Why:
    return why_workload(story.machine, story["web"], linked(story, straight))


@pytest.mark.parametrize("straight", [False, True])
def test_runs_that_were_ill_alike_are_told_once_and_counted(story: Story, straight: bool) -> None:
    falls_ill(story, "no answer within 1 s")
    for _ in range(3):
        falls_ill(story)
    story.run_starts("web")
    answer = why(story, straight)
    created, other, last, started = answer.chain
    assert created.text.startswith("web created") and started.text == "web run 5 started, pid 100"
    assert other.text.startswith("web run 1 is unhealthy") and other.alike == 0
    assert (last.text, last.alike) == (f"web run 4 {SICK}", 2)
    assert (answer.detail, answer.advice) == ("checking", ILL_AGAIN.format(name="web"))


def test_an_end_that_is_what_is_explained_stays(story: Story) -> None:
    for _ in range(2):
        falls_ill(story)
    answer = why(story)
    assert answer.detail == "backoff" and answer.advice == ILL_AGAIN.format(name="web")
    assert [(one.text.split(" (")[0], one.alike) for one in answer.chain[1:]] == [
        (f"web run 2 {SICK}", 1),
        ("web run 2 exited with code 143", 0),
    ]


def test_one_illness_alone_speaks_for_no_wrong_check_and_what_is_well_needs_nothing(story: Story) -> None:
    falls_ill(story)
    number = story.run_starts("web")
    assert why(story).advice == BY_DETAIL[Detail.CHECKING].format(name="web")
    sick = WorkloadHealthChanged("web", story["web"].uid, number, "unhealthy", 3, "exited with code 1")
    story.tell(replace(sick, restart=True))
    assert (why(story).detail, why(story).advice) == ("stopping", ILL_AGAIN.format(name="web"))
    story.converge()
    story.tell(WorkloadHealthChanged("web", story["web"].uid, 3, "healthy"))
    assert (why(story).detail, why(story).advice) == ("healthy", "")
