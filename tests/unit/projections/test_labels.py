"""Labels are for people to select by: changing them is remembered, and ends and begins nothing."""

from typing import Unpack

from msgspec.structs import replace

from capsuled.declare import word_of
from journal.events import AppliedWorkload, WorkloadApplied
from projections.admission import Admitted
from projections.intents import Declared, Stop
from projections.phases import RunPhase
from projections.refusals import Refusal
from tests.support.story import Declaring, Story, declared

PROD, TEST = (("env", "prod"),), (("env", "test"),)


def labelled(labels: tuple[tuple[str, str], ...], *args: str, **fields: Unpack[Declaring]) -> Declared:
    return replace(declared("web", *args, **fields), labels=labels)


def item_of(verdict: object) -> AppliedWorkload:
    assert isinstance(verdict, Admitted)
    (event,) = verdict.events
    assert isinstance(event, WorkloadApplied)
    return event.items[0]


def test_other_labels_restart_nothing() -> None:
    for network in ("none", "bridge"):
        story = Story()
        story.apply(labelled(TEST, network=network))
        story.converge()
        before = story["web"]
        item = item_of(story.apply(labelled(PROD, network=network)))
        assert (item.created, item.changed, item.relabelled, word_of(item)) == (False, False, True, "labelled")
        after = story["web"]
        seq, at = story.machine.seq, story.machine.at
        assert after == replace(before, labels=PROD, desired_seq=seq, word_seq=seq, word_at=at)
        assert story.converge() == 0, "the plan is empty"
        assert story.apply(labelled(PROD, network=network)) == Admitted(())


def test_other_labels_do_not_make_a_crash_loop_forgotten() -> None:
    story = Story()
    story.apply(labelled(TEST))
    for _ in range(3):
        story.run_starts("web")
        story.run_ends("web", 1)
        story.cleaned("web")
    story.run_starts("web")
    story.apply(labelled(PROD))
    assert story["web"].streak == 3 and story["web"].labels == PROD


def test_with_another_spec_they_are_one_change() -> None:
    story = Story()
    story.apply(labelled(TEST))
    story.converge()
    item = item_of(story.apply(labelled(PROD, "other")))
    assert item.changed and word_of(item) == "configured" and story.next_goal("web") == "StopRun"


def test_applied_to_what_has_failed_they_start_it_as_any_apply_does() -> None:
    story = Story()
    story.apply(labelled(TEST, restart="never"))
    story.run_starts("web")
    story.run_ends("web", 1)
    story.cleaned("web")
    story.apply(labelled(PROD, restart="never"))
    assert story.next_goal("web") == "StartRun"


def test_a_job_that_is_done_is_labelled_and_stays_done() -> None:
    story = Story()
    story.apply(labelled(TEST, restart="never"))
    story.run_starts("web")
    story.run_ends("web", 0)
    story.cleaned("web")
    item = item_of(story.apply(labelled(PROD, restart="never")))
    assert item.completed and word_of(item) == "labelled" and story["web"].labels == PROD
    assert story.next_goal("web") is None and story["web"].completed


def test_what_is_stopped_stays_stopped() -> None:
    story = Story()
    story.apply(labelled(TEST))
    story.converge()
    story.call(Stop("web"))
    story.converge()
    story.apply(labelled(PROD, desired="stopped"))
    run = story["web"].run
    assert run is not None and run.phase is RunPhase.EXITED and story["web"].labels == PROD
    assert story.converge() == 0


def test_a_label_whose_name_no_selector_can_say_is_refused() -> None:
    for label in (("a b", "x"), ("", "x"), ("a=b", "x"), ("!a", "x"), ("a,b", "x")):
        verdict = Story().apply(labelled((label,)))
        assert isinstance(verdict, Refusal) and (verdict.reason, verdict.fields) == ("BAD_LABEL", ("labels",)), label
    for label in (("app", ""), ("example.org/app", "web, site!"), ("größe", "1/2"), ("rule", "Host(`a`) && b=c")):
        assert isinstance(Story().apply(labelled((label,))), Admitted), label


def test_one_that_was_admitted_once_stays() -> None:
    story = Story()
    story.apply(labelled(TEST))
    item = replace(item_of(story.apply(labelled(PROD))), labels=(("a b", "c,d"),), relabelled=True)
    story.tell(WorkloadApplied(items=(item,)))
    assert story.apply(labelled(item.labels)) == Admitted(())
    assert isinstance(story.apply(labelled((*item.labels, ("app", "web")))), Admitted)
    assert isinstance(story.apply(labelled((("a c", "e,f"),))), Refusal)
