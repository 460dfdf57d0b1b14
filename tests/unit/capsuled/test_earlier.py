"""Which earlier declaration `previous` and `healthy` mean, in a journal as it was written."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from capsule.v1 import history_pb2, rollback_pb2
from capsuled.earlier import earlier
from capsuled.moments import Moments
from capsuled.revisions import revisions
from capsuled.rpc import Refused
from journal.events import (
    ClockStepped,
    EffectStarted,
    MachineHalted,
    WorkloadExited,
    WorkloadHealthChanged,
    WorkloadLost,
    WorkloadRemoved,
    WorkloadStarted,
)
from journal.reader import Reader
from projections.intents import Declared, Delete
from projections.state import Deadline
from tests.support.clock import HandClock
from tests.support.entries import Ledger, indexed
from tests.support.story import SECOND, Story, declared


def kept(story: Story) -> Ledger:
    """The story's entries as a chain, each at its own number."""
    ledger = Ledger()
    for header, event in story.entries:
        ledger.boot, ledger.mono = header.boot, header.mono - header.seq * 1_000_000
        assert header.seq == ledger.add(event).header.seq
    return ledger


def meant(reader: Reader, upto: int, to: str, present: Deadline | None = None) -> int:
    """By default right after entry `upto`."""
    newest = reader.get(upto)
    assert newest is not None
    present = present or Deadline(newest.header.boot, newest.header.mono)
    request = rollback_pb2.RollbackRequest(name="web", **{to: True})  # type: ignore[arg-type]
    return earlier(reader, Moments(reader, HandClock().wall_ns).machine(upto), request, present)


def labelled(*args: str, **labels: str) -> Declared:
    return replace(declared("web", *args), labels=tuple(labels.items()))


def test_previous_is_what_history_shows_before_the_present_one(tmp_path: Path) -> None:
    """Also where nothing of what runs was changed: labels, what it depends on, the policy of drift."""
    story, at = Story(), []
    for one in (
        labelled("one"),
        labelled("one", tier="front"),
        declared("web", "one", depends_on=()),
        declared("web", "one", drift="report"),
        declared("web", "two"),
    ):
        story.apply(one)
        story.converge()
        at.append(story["web"].desired_seq)
    ledger = kept(story)
    with indexed(tmp_path, ledger) as reader:
        assert [one.entry.seq for one in revisions(reader, "web", ledger.seq, 0)] == at
        assert [meant(reader, upto, "previous") for upto in at[1:]] == at[:-1]
        moments = Moments(reader, HandClock().wall_ns)
        for seq in at:
            assert moments.seq_of(history_pb2.Moment(seq=seq), ledger.seq, "to") == seq
            assert moments.machine(seq).workloads["web"].desired_seq == seq


def test_what_was_declared_of_an_earlier_life_is_not_meant(tmp_path: Path) -> None:
    story = Story()
    story.apply(labelled("one"))
    story.apply(labelled("one", tier="front"))
    story.call(Delete("web"))
    story.tell(WorkloadRemoved("web", story["web"].uid))
    story.apply(labelled("two"))
    ledger = kept(story)
    with indexed(tmp_path, ledger) as reader, pytest.raises(Refused) as refused:
        meant(reader, ledger.seq, "previous")
    assert refused.value.refusal.reason == "NO_SUCH_REVISION"


def test_the_good_revision_is_known_however_often_the_bad_one_has_crashed_since(tmp_path: Path) -> None:
    story = Story()
    story.apply(labelled("good"))
    good = story["web"].revision
    run = story.run_starts("web")
    story.tell(WorkloadHealthChanged("web", story["web"].uid, run, "healthy"))
    story.apply(labelled("bad"))
    story.tell(WorkloadExited("web", story["web"].uid, run, 0, restart=True))
    for _ in range(700):
        story.cleaned("web")
        run = story.run_starts("web")
        story.tell(WorkloadExited("web", story["web"].uid, run, 3, restart=True))
    ledger = kept(story)
    assert ledger.seq > 2_500
    with indexed(tmp_path, ledger) as reader:
        assert meant(reader, ledger.seq, "healthy") == good


MINUTE = 60


def outlived(good: str = "good") -> tuple[Story, int]:
    """A workload whose first revision runs; it says nothing of itself, and has no check."""
    story = Story()
    story.apply(labelled(good))
    story.converge()
    return story, story["web"].revision


def test_a_run_that_goes_on_in_peace_is_known_to_have_lived_up_to_now(tmp_path: Path) -> None:
    """As where the present revision's image is not to be had, and the old run goes on."""
    story, good = outlived()
    story.pass_time(9 * MINUTE)
    story.apply(labelled("unheard of"))
    ledger = kept(story)
    with indexed(tmp_path, ledger) as reader:
        now = [Deadline(story.boot, story.mono + minutes * MINUTE * SECOND) for minutes in (0, 2)]
        assert meant(reader, ledger.seq, "healthy", now[1]) == good
        for present in (now[0], replace(now[1], boot="another")):
            with pytest.raises(Refused):
                meant(reader, ledger.seq, "healthy", present)


def test_so_is_one_of_which_nothing_is_told_since_it_began(tmp_path: Path) -> None:
    """It was being started when the present revision was declared."""
    story = Story()
    story.apply(labelled("good"))
    good = story["web"].revision
    story.apply(labelled("unheard of"))
    uid = story["web"].uid
    story.tell(EffectStarted("StartRun", "web", uid, run=1, revision=good), WorkloadStarted("web", uid, 1, good, 100))
    ledger = kept(story)
    with indexed(tmp_path, ledger) as reader:
        assert meant(reader, ledger.seq, "healthy", Deadline(story.boot, story.mono + 11 * MINUTE * SECOND)) == good


@pytest.mark.parametrize("minutes", [9, 11])
@pytest.mark.parametrize("halted", [False, True])
def test_a_run_that_went_with_the_machine_lived_up_to_the_last_entry_of_its_boot(
    tmp_path: Path, minutes: int, halted: bool
) -> None:
    """Whatever that spoke of: of the run itself there is no more."""
    story, good = outlived()
    story.pass_time(minutes * MINUTE)
    story.tell(ClockStepped(3, "pool"))
    before = story.boot
    story.boot, story.mono = "boot-2", SECOND
    story.tell(*((MachineHalted(1, before),) if halted else ()))
    story.reboot("boot-2")
    story.pass_time(MINUTE)
    story.converge()
    story.apply(labelled("bad"))
    story.converge()
    assert not any(isinstance(event, WorkloadLost) for _, event in story.entries)
    ledger = kept(story)
    with indexed(tmp_path, ledger) as reader:
        if minutes > 10:
            assert meant(reader, ledger.seq, "healthy") == good
        else:
            with pytest.raises(Refused):
                meant(reader, ledger.seq, "healthy")


def test_a_run_that_a_halt_ended_did_not_live_on_until_the_daemon_came_again_in_that_boot(tmp_path: Path) -> None:
    story, _ = outlived()
    story.pass_time(MINUTE)
    story.tell(MachineHalted(1, story.boot))
    story.pass_time(60 * MINUTE)
    story.apply(labelled("bad"))
    ledger = kept(story)
    with indexed(tmp_path, ledger) as reader, pytest.raises(Refused):
        meant(reader, ledger.seq, "healthy")


def test_where_not_all_of_it_is_read_nothing_says_that_it_lived_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story, good = outlived()
    begun = sum(header.seq >= good for header, _ in story.entries)
    story.apply(labelled("bad"))
    story.tell(WorkloadExited("web", story["web"].uid, 1, 1))
    story.cleaned("web")
    story.reboot("boot-2")
    story.pass_time(60 * MINUTE)
    ledger = kept(story)
    with indexed(tmp_path, ledger) as reader:
        present = Deadline("boot-1", story.mono)
        for read in (begun, begun + 1, 100_000):
            monkeypatch.setattr("capsuled.earlier.LOOKED_AT", read)
            with pytest.raises(Refused):
                meant(reader, ledger.seq, "healthy", present)
