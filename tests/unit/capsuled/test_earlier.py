"""Which earlier declaration `previous` and `healthy` mean, in a journal as it was written."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from capsule.v1 import history_pb2, rollback_pb2
from capsuled.earlier import earlier
from capsuled.moments import Moments
from capsuled.revisions import revisions
from capsuled.rpc import Refused
from journal.events import WorkloadExited, WorkloadHealthChanged, WorkloadRemoved
from journal.reader import Reader
from projections.intents import Declared, Delete
from tests.support.clock import HandClock
from tests.support.entries import Ledger, indexed
from tests.support.story import Story, declared


def kept(story: Story) -> Ledger:
    """The story's entries as a chain, each at its own number."""
    ledger = Ledger()
    for header, event in story.entries:
        assert header.seq == ledger.add(event).header.seq
    return ledger


def meant(reader: Reader, upto: int, to: str) -> int:
    request = rollback_pb2.RollbackRequest(name="web", **{to: True})  # type: ignore[arg-type]
    return earlier(reader, Moments(reader, HandClock().wall_ns).machine(upto), request)


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
