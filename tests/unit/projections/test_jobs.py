"""A job that is done stays done, however often its manifest is applied; whoever wants it done again says so."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from capsuled.declare import word_of
from effects.planner import plan
from journal.events import EffectFailed, NetworkDrifted, WorkloadApplied
from journal.specs import DriftPolicy
from projections.admission import Admitted
from projections.intents import Declared, Intent, Restart, Start, Stop
from tests.support.story import Story, declared

JOB = declared("job", restart="never")


def ended(exit_code: int = 0, job: Declared = JOB) -> Story:
    story = Story()
    story.apply(job)
    story.run_starts("job")
    story.run_ends("job", exit_code)
    story.cleaned("job")
    return story


@pytest.mark.parametrize("job", [JOB, declared("job", restart="on-failure")])
def test_the_same_manifest_does_nothing(job: Declared) -> None:
    story = ended(job=job)
    assert story.apply(job) == Admitted(())
    assert story.next_goal("job") is None and story["job"].completed


OTHERS: dict[str, tuple[Callable[[Declared], Declared], str]] = {
    "labelled": (lambda job: replace(job, labels=(("a", "b"),)), "labelled"),
    "reordered": (lambda job: replace(job, depends_on=("db",)), "reordered"),
    "another policy of drift": (lambda job: replace(job, drift="report"), "configured"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_ends_no_run_begins_none(name: str) -> None:
    story = ended()
    story.apply(declared("db"))
    story.converge()
    change, word = OTHERS[name]
    verdict = story.apply(change(JOB))
    assert isinstance(verdict, Admitted) and isinstance(verdict.events[0], WorkloadApplied)
    (item,) = verdict.events[0].items
    assert item.completed and word_of(item) == word
    assert story.next_goal("job") is None and story["job"].completed
    assert story.apply(change(JOB)) == Admitted(()), "and is remembered"


def bridged(drift: DriftPolicy) -> Story:
    story = Story()
    for name in ("job", "other"):
        story.apply(declared(name, restart="never", network="bridge", drift=drift))
    story.converge()
    story.run_ends("job", 0)
    story.converge()
    return story


@pytest.mark.parametrize("effect", ["CleanRun", "UnmountVolume", "EnsureNetwork"])
def test_what_is_still_to_be_done_about_one_has_it_done_no_second_time(effect: str) -> None:
    story = bridged("repair")
    story.tell(NetworkDrifted(what="the rules were flushed"))
    story.tell(EffectFailed(effect, "job", story["job"].uid, "NETWORK_FAILED", "busy", attempt=1, retry_delay_ms=500))
    assert story.apply(declared("job", restart="never", network="bridge")) == Admitted(())
    assert story["job"].trouble is not None, "it is tried again by itself"
    story.converge()
    assert story["job"].completed and story.machine.network.foreign is None


@pytest.mark.parametrize("aspect", ["rules", "link"])
def test_what_another_hand_changed_about_one_is_mended_by_the_same_manifest_and_nothing_begins(aspect: str) -> None:
    story = bridged("report")
    name, uid = ("", 0) if aspect == "rules" else ("job", story["job"].uid)
    story.tell(NetworkDrifted(name=name, uid=uid, what="another hand was here"))
    assert plan(story.machine) == ()
    verdict = story.apply(declared("job", restart="never", network="bridge", drift="report"))
    assert isinstance(verdict, Admitted) and isinstance(verdict.events[0], WorkloadApplied)
    (item,) = verdict.events[0].items
    assert item.completed and word_of(item) == "repaired"
    story.converge()
    assert story["job"].completed and story["job"].attached and story["job"].unlinked is None
    assert story.machine.network.foreign is None


@pytest.mark.parametrize("word", [Start("job"), Restart("job")])
def test_whoever_says_so_has_it_done_again(word: Intent) -> None:
    story = ended()
    story.call(word)
    assert story.next_goal("job") == "StartRun"


def test_another_spec_is_another_job() -> None:
    story = ended()
    story.apply(declared("job", "other", restart="never"))
    assert story.next_goal("job") == "StartRun"


def test_one_that_was_stopped_behind_its_end_is_started_as_it_is_declared_to_run() -> None:
    story = ended()
    story.call(Stop("job"))
    story.converge()
    story.apply(JOB)
    assert story.next_goal("job") == "StartRun"


def test_one_that_failed_is_tried_again() -> None:
    story = ended(exit_code=1)
    story.apply(JOB)
    assert story.next_goal("job") == "StartRun"


def test_one_that_is_to_begin_again_is_not_done() -> None:
    job = declared("job", restart="always")
    story = ended(job=job)
    assert not story["job"].completed
    story.apply(job)
    assert story.next_goal("job") == "StartRun"
