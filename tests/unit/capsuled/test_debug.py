"""What a start makes of debug sessions that were open when the daemon before it died."""

from capsuled.debug import METHOD, NAME, left_over
from journal.events import StreamClosed, StreamOpened
from tests.support.story import Story, declared


def opened(method: str = METHOD) -> Story:
    story = Story()
    story.tell(StreamOpened(method=method, object=NAME))
    return story


def test_the_container_of_an_open_session_is_left_over() -> None:
    story = opened()
    seq = story.machine.seq
    story.apply(declared(NAME))
    ((cause, event),) = left_over(story.machine)
    assert cause == seq and (event.name, event.uid) == (NAME, story.machine.workloads[NAME].uid)


def test_nothing_is_where_nobody_debugged_or_it_ended_in_order() -> None:
    other = opened("WorkloadService.Exec")
    other.apply(declared(NAME))
    assert left_over(other.machine) == ()
    ended = opened()
    seq = ended.machine.seq
    ended.apply(declared(NAME))
    ended.tell(StreamClosed(opened=seq, outcome="ok"))
    assert left_over(ended.machine) == () and left_over(opened().machine) == ()


def test_what_was_there_before_or_was_declared_anew_is_somebody_elses() -> None:
    before = Story()
    before.apply(declared(NAME))
    before.tell(StreamOpened(method=METHOD, object=NAME))
    assert left_over(before.machine) == ()
    anew = opened()
    anew.apply(declared(NAME))
    anew.apply(declared(NAME, "other"))
    assert left_over(anew.machine) == ()
