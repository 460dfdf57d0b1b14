"""What may be forgotten: nothing that the state still says."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from journal.events import (
    BootStarted,
    EffectFailed,
    ImagePushed,
    JournalCheckpointed,
    JournalExcised,
    PushedImage,
    WorkloadHealthChanged,
)
from journal.specs import HealthCheck
from projections.admission import Admitted
from projections.intents import (
    AddKey,
    Checkpoint,
    ConfigureRegistry,
    CreateSecret,
    CreateVolume,
    Declared,
    Delete,
    RemoveKey,
    RemoveSecret,
    Stop,
)
from projections.refusals import Refusal
from projections.retention import EXCISED_MOST
from tests.support.story import PIN, Story, declared


def labelled(name: str, *args: str, **labels: str) -> Declared:
    return replace(declared(name, *args), labels=tuple(sorted(labels.items())))


def excise(story: Story, *seqs: int) -> Admitted | Refusal:
    said = {header.seq: event for header, event in story.entries}
    call = Checkpoint(story.machine.seq, 2, "ab", "cd", excised=tuple((one, said.get(one)) for one in seqs))
    return story.call(call)


def reason(verdict: Admitted | Refusal) -> str:
    return verdict.reason if isinstance(verdict, Refusal) else ""


def test_what_the_state_does_not_say_any_more_goes_and_leaves_two_marks() -> None:
    story = Story()
    story.apply(declared("web", "password"))
    seq = story.machine.seq
    assert reason(excise(story, seq)) == "STILL_SO"
    story.apply(declared("web", "mended"))
    verdict = excise(story, seq)
    assert isinstance(verdict, Admitted)
    assert [type(event) for event in verdict.events] == [JournalExcised, JournalCheckpointed]


def test_what_a_run_was_begun_with_goes_with_what_is_remembered_of_it() -> None:
    story = Story()
    story.apply(declared("web", "password"))
    seq = story.machine.seq
    for turn in ("better", "best"):
        story.converge()
        assert reason(excise(story, seq)) == "STILL_SO"
        story.apply(declared("web", turn))
    story.converge()
    assert reason(excise(story, seq)) == ""


@pytest.mark.parametrize("later", [lambda story: None, lambda story: story.call(Stop("web"))])
def test_labels_are_said_by_the_entry_that_changed_them(later: Callable[[Story], object]) -> None:
    story = Story()
    story.apply(labelled("web", key="password"))
    first = story.machine.seq
    story.apply(labelled("web", key="another"))
    assert story["web"].revision == first, "nothing that runs was changed"
    later(story)
    slip = first + 1
    assert reason(excise(story, slip)) == "STILL_SO"
    story.apply(labelled("web", key="mended"))
    assert reason(excise(story, slip)) == ""
    assert reason(excise(story, first)) == "STILL_SO", "its spec is of that entry"


def test_labels_that_are_there_count_also_where_another_of_the_same_call_is_gone() -> None:
    story = Story()
    story.apply(labelled("web"), labelled("db"))
    story.apply(labelled("web", key="password"), labelled("db", key="password"))
    slip = story.machine.seq
    story.apply(labelled("db", key="another"))
    assert reason(excise(story, slip)) == "STILL_SO"
    story.apply(labelled("web", key="another"))
    assert reason(excise(story, slip)) == ""


def test_labels_that_were_declared_again_with_another_spec_are_not_of_the_former_entry() -> None:
    story = Story()
    story.apply(labelled("web", "password", app="web"))
    seq = story.machine.seq
    story.apply(labelled("web", "mended", app="web"))
    assert reason(excise(story, seq)) == ""


def test_what_later_revisions_carry_on_is_said_still_until_it_is_declared_otherwise_and_nothing_runs_from_it() -> None:
    story = Story()
    story.apply(labelled("web", "--password=slip", app="web"))
    first = story["web"].revision
    for more in ("a", "b", "c"):
        story.converge()
        story.apply(labelled("web", "--password=slip", f"--{more}", app="web"))
    verdict = excise(story, first)
    assert isinstance(verdict, Refusal) and verdict.reason == "STILL_SO"
    assert verdict.message.startswith(f"workload web is as entry {first} says"), verdict.message
    story.converge()
    story.apply(labelled("web", "--password-file=/run/it", "--c", app="web"))
    assert reason(excise(story, first)) == "STILL_SO", "it runs with the value still"
    story.converge()
    story.apply(labelled("web", "--password-file=/run/it", "--d", app="web"))
    story.converge()
    assert reason(excise(story, first)) == "", "the label and what stayed of the arguments stand in no way"


def test_one_apply_of_two_goes_once_the_mistyped_one_is_mended_though_the_other_is_as_it_says() -> None:
    story = Story()
    story.apply(declared("db", "--as-ever"))
    story.apply(declared("web", "slip"), declared("db", "--as-ever"))
    seq = story["web"].revision
    assert reason(excise(story, seq)) == "STILL_SO"
    story.apply(declared("web", "mended"))
    assert reason(excise(story, seq)) == ""


def test_the_words_of_a_check_go_with_what_is_remembered_of_its_run() -> None:
    story = Story()
    checked = declared("web")
    story.apply(replace(checked, spec=replace(checked.spec, health=HealthCheck("exec", ("check",)))))
    story.converge()
    run = story["web"].run
    assert run is not None
    story.tell(WorkloadHealthChanged("web", story["web"].uid, run.number, "unhealthy", message="ada:slip is refused"))
    said = story.machine.seq
    assert reason(excise(story, said)) == "STILL_SO"
    story.tell(WorkloadHealthChanged("web", story["web"].uid, run.number, "healthy"))
    assert reason(excise(story, said)) == ""
    story.tell(WorkloadHealthChanged("web", story["web"].uid, run.number, "unhealthy", message="ada:slip is refused"))
    assert reason(excise(story, said)) == "STILL_SO", "another entry says the same"


def test_secrets_volumes_and_images_are_said_by_what_made_them() -> None:
    story = Story()
    story.call(CreateSecret("key", "sealed", 6, text=True))
    story.call(CreateVolume("data", 64 << 20))
    story.tell(ImagePushed((PushedImage(PIN),)))
    assert [reason(excise(story, seq)) for seq in (1, 2, 3)] == ["STILL_SO"] * 3
    story.call(RemoveSecret("key"))
    assert [reason(excise(story, seq)) for seq in (1, 2, 3)] == ["", "STILL_SO", "STILL_SO"]


def test_the_words_of_a_failure_go_once_it_is_over() -> None:
    story = Story()
    story.apply(declared("web"))
    story.tell(EffectFailed("StartRun", "web", story["web"].uid, "NO_SPACE", "of /home/anna", retry_delay_ms=10))
    seq = story.machine.seq
    assert reason(excise(story, seq)) == "STILL_SO"
    story.converge()
    assert reason(excise(story, seq)) == ""


def test_history_begins_later_and_never_earlier() -> None:
    story = Story()
    story.apply(declared("web"))
    story.call(Delete("web"))
    assert isinstance(story.call(Checkpoint(2, 2, "ab", "cd", "old.capsule")), Admitted)
    for upto in (1, 2):
        assert reason(story.call(Checkpoint(upto, 2, "ab", "cd", "old.capsule"))) == "BEGINS_LATER"


def test_nothing_is_forgotten_while_the_system_before_may_have_to_read_what_is_left() -> None:
    story = Story()
    story.apply(declared("web"))
    story.call(Delete("web"))
    story.tell(BootStarted("slot_b", "slot_a", "2 bbb", tentative=True))
    assert reason(excise(story, 1)) == "TENTATIVE"
    assert reason(story.call(Checkpoint(1, 2, "ab", "cd", "old.capsule"))) == "TENTATIVE"
    story.tell(BootStarted("slot_a", "slot_a", "1 aaa"))
    assert reason(story.call(Checkpoint(1, 2, "ab", "cd", "old.capsule"))) == ""


def test_not_too_much_is_forgotten_at_once() -> None:
    story = Story()
    story.apply(declared("web"))
    assert reason(excise(story, *range(1, EXCISED_MOST + 2))) == "TOO_MANY"


def test_registries_and_operators_are_said_by_what_made_them() -> None:
    story = Story()
    story.call(ConfigureRegistry("registry.example"))
    story.call(AddKey("k1", "ab" * 32, "ada", "admin"))
    story.call(AddKey("k2", "cd" * 32, "ben", "reader"))
    for seq, what in ((1, "registry registry.example"), (2, "operator ada"), (3, "operator ben")):
        verdict = excise(story, seq)
        assert isinstance(verdict, Refusal) and verdict.message.startswith(f"{what} is as entry {seq} says")
    story.call(RemoveKey("k2"))
    assert reason(excise(story, 3)) == ""
