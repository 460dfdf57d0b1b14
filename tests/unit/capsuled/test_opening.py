"""What a start does when it was given another subnet than the state's addresses are of."""

import pytest

from capsuled.startup import moved_events
from tests.unit.projections.test_network_moves import NEW, OLD, settled


def test_a_start_with_another_subnet_tells_who_moves() -> None:
    story = settled("a")
    assert moved_events(story.machine, OLD) == ()
    assert len(moved_events(story.machine, NEW)) == 1


def test_a_start_with_a_subnet_that_is_too_small_is_refused_by_name() -> None:
    with pytest.raises(OSError, match="6 workloads need an address of") as caught:
        moved_events(settled(*"abcdef").machine, NEW)
    assert caught.value.filename == f"--subnet {NEW}" and "start with the old one" in str(caught.value.strerror)
