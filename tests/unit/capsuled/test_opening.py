"""What a start tells first: what its predecessor left open, and who moves to another subnet."""

import pytest

from capsuled.startup import moved_events, opening_events
from journal.clock import SystemClock
from journal.events import StreamClosed, StreamOpened
from tests.support.story import Story
from tests.unit.projections.test_network_moves import NEW, OLD, settled


def test_a_start_with_another_subnet_tells_who_moves() -> None:
    story = settled("a")
    assert moved_events(story.machine, OLD) == ()
    assert len(moved_events(story.machine, NEW)) == 1


def test_a_start_with_a_subnet_that_is_too_small_is_refused_by_name() -> None:
    with pytest.raises(OSError, match="6 workloads need an address of") as caught:
        moved_events(settled(*"abcdef").machine, NEW)
    assert caught.value.filename == f"--subnet {NEW}" and "start with the old one" in str(caught.value.strerror)


def test_the_streams_of_a_daemon_that_died_are_closed_as_lost_where_they_were() -> None:
    story = Story()
    story.tell(StreamOpened(method="WorkloadService.Exec", object="web"), StreamOpened(method="ImageService.Push"))
    _, *lost = opening_events(story.machine, SystemClock(), 1)
    assert lost == [
        StreamClosed(opened=1, outcome="lost", object="web", method="WorkloadService.Exec"),
        StreamClosed(opened=2, outcome="lost", method="ImageService.Push"),
    ]
