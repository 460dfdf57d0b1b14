"""Revisions where their numbers get another digit, on the disk and in the history: 255/256 and 65,535/65,536, with a
workload that is deleted there and made again under its name.

A revision is the number of its entry: it stands in keys of the journal, in names of layers, and in what operators type.
"""

from collections.abc import Iterator

import pytest

from capsule.v1 import history_pb2 as pb
from capsule.v1 import rollback_pb2
from capsuled.earlier import earlier
from capsuled.memory import packed, unpacked
from capsuled.moments import Moments
from capsuled.revisions import revisions
from capsuled.rpc import Refused
from effects.runs.names import snapshot_key
from journal.events import DaemonStopped, WorkloadDeleteRequested, WorkloadExited, WorkloadRemoved, WorkloadStarted
from journal.reader import Reader
from projections.fold import fold
from projections.intents import Delete
from projections.rollback import previous, target, unpinned
from projections.state import Deadline
from tests.support.clock import HandClock
from tests.support.entries import Ledger, indexed
from tests.support.story import Story, declared

NOTHING = DaemonStopped(reason="asked to")
"""Tells of nothing that the state knows: so many of these stand before the edge."""
EDGES = (255, 65_535)
PRESENT = Deadline("boot-1", 0)


class Told(Story):
    """A story whose entries begin right before an edge."""

    def __init__(self, edge: int) -> None:
        super().__init__()
        self.machine.seq = edge - 2

    def become(self, *args: str) -> int:
        """Declare it like that; the revision's number."""
        self.apply(declared("web", *args))
        return self["web"].revision


@pytest.mark.parametrize("edge", EDGES)
def test_a_workload_goes_over_the_edge_and_back(edge: int) -> None:
    story = Told(edge)
    one, two, three = story.become("1"), story.become("2"), story.become("3")
    assert (one, two, three) == (edge - 1, edge, edge + 1)
    story.converge()
    assert [one.seq for one in story["web"].revisions] == [edge - 1, edge, edge + 1]
    assert previous(story["web"], ()) == edge
    run = story["web"].run
    assert run is not None and run.revision == edge + 1
    assert unpacked(packed(story.machine)) == story.machine

    then = Story()
    for header, event in story.entries[:2]:
        fold(then.machine, header, event)
    (back,) = target(story.machine, then.machine, ("web",)).back
    story.apply(declared("web", *unpinned(back).spec.args))
    assert story["web"].spec.args == ("2",) and story["web"].revision > edge + 1
    story.converge()
    run = story["web"].run
    assert run is not None and (run.revision, run.number) == (story["web"].revision, 2)


@pytest.mark.parametrize("edge", EDGES)
def test_another_of_the_name_begins_anew_beyond_the_edge(edge: int) -> None:
    story = Told(edge)
    former = story.become("1")
    story.converge()
    story.call(Delete("web"))
    story.converge()
    assert "web" not in story.machine.workloads
    story.become("2")
    story.converge()
    present = story["web"]
    assert present.uid > edge > former and [one.seq for one in present.revisions] == [present.uid]
    assert previous(present, ()) == 0
    for late in (
        WorkloadDeleteRequested("web", former),
        WorkloadExited("web", former, 1, 3),
        WorkloadStarted("web", former, 2, former, 77),
        WorkloadRemoved("web", former),
    ):
        story.tell(late)
        assert story["web"] == present
    assert snapshot_key("web", former, former) != snapshot_key("web", present.uid, present.uid)


@pytest.fixture(params=EDGES, scope="module")
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Reader]]:
    """A journal of them, with two revisions around the edge, a removal, and another of the name."""
    edge: int = request.param
    ledger = Ledger()
    while ledger.seq < edge - 2:
        ledger.add(NOTHING)
    story = Told(edge)
    story.become("1")
    story.become("2")
    story.call(Delete("web"))
    story.tell(WorkloadRemoved("web", story["web"].uid))
    story.become("3")
    for _, event in story.entries:
        ledger.add(event)
    with indexed(tmp_path_factory.mktemp("edge") / "journal", ledger) as reader:
        yield edge, reader


def test_history_tells_them_in_order(kept: tuple[int, Reader]) -> None:
    edge, reader = kept
    found = revisions(reader, "web", edge + 3, 0)
    assert [(one.entry.seq, one.created, one.removed) for one in found] == [
        (edge - 1, True, False),
        (edge, False, False),
        (edge + 2, False, True),
        (edge + 3, True, False),
    ]
    assert [(change.old, change.new) for change in found[1].changes] == [('["1"]', '["2"]')]
    assert [one.entry.seq for one in revisions(reader, "web", edge, 1)] == [edge]


@pytest.mark.parametrize("wanted", [{"previous": True}, {"healthy": True}], ids=str)
def test_one_that_was_created_anew_is_told_where_its_former_life_is(
    kept: tuple[int, Reader], wanted: dict[str, bool]
) -> None:
    edge, reader = kept
    request = rollback_pb2.RollbackRequest(name="web", **wanted)  # type: ignore[arg-type]
    with pytest.raises(Refused) as refused:
        earlier(reader, Moments(reader, HandClock().wall_ns).machine(edge + 3), request, PRESENT)
    words = refused.value.refusal.message
    assert f" since it was created anew at entry {edge + 3}: " in words
    assert words.endswith("shows those there are, and `--to SEQ` takes one from before that")


def test_one_that_never_was_before_has_no_former_life(kept: tuple[int, Reader]) -> None:
    edge, reader = kept
    with pytest.raises(Refused) as refused:
        first = Moments(reader, HandClock().wall_ns).machine(edge - 1)
        earlier(reader, first, rollback_pb2.RollbackRequest(name="web", previous=True), PRESENT)
    assert refused.value.refusal.message.endswith("remembered: `capsulectl workload history web` shows those there are")


@pytest.mark.parametrize("wanted", [{"previous": True}, {"healthy": True}], ids=str)
@pytest.mark.parametrize(("name", "reason"), [("", "WHICH_WORKLOAD"), ("nobody", "WORKLOAD_NOT_FOUND")])
def test_a_revision_is_one_workloads(kept: tuple[int, Reader], wanted: dict[str, bool], name: str, reason: str) -> None:
    edge, reader = kept
    request = rollback_pb2.RollbackRequest(name=name, **wanted)  # type: ignore[arg-type]
    with pytest.raises(Refused) as refused:
        earlier(reader, Moments(reader, HandClock().wall_ns).machine(edge + 3), request, PRESENT)
    assert refused.value.refusal.reason == reason


def test_each_is_a_moment_of_its_own(kept: tuple[int, Reader]) -> None:
    edge, reader = kept
    moments = Moments(reader, HandClock().wall_ns)
    for seq, args in ((edge - 1, ("1",)), (edge, ("2",)), (edge + 3, ("3",))):
        assert moments.seq_of(pb.Moment(seq=seq), edge + 3, "to") == seq
        web = moments.machine(seq).workloads["web"]
        assert (web.spec.args, web.revision) == (args, seq)
    assert "web" not in moments.machine(edge - 2).workloads | moments.machine(edge + 2).workloads
