"""How a microVM's run ends when its payload does not: by its kernel, its monitor, its agent, or for want of memory."""

import pytest

from journal.events import WorkloadExited
from journal.specs import Fault, MicroVM, RestartMode
from projections.describe import describe
from projections.observations import ObservedRun, observe_run
from projections.status import how_it_ended
from projections.why import why_workload
from tests.support.story import Story, declared

KILLED = 137


def running(restart: RestartMode = "on-failure") -> Story:
    story = Story()
    story.apply(declared("vm", vm=MicroVM(), restart=restart))
    story.run_starts("vm")
    return story


def told(story: Story, **fields: object) -> WorkloadExited:
    uid, run = story["vm"].uid, story["vm"].run
    assert run is not None
    seen = ObservedRun("vm", uid, run.revision, run.number, "stopped", exit_code=KILLED, **fields)  # type: ignore[arg-type]
    (event,) = observe_run(story.machine, seen, story.boot, story.mono)
    assert isinstance(event, WorkloadExited)
    story.tell(event)
    return event


@pytest.mark.parametrize(
    ("fault", "text", "words"),
    [
        ("panic", "Attempted to kill init!", "the guest's kernel panicked: Attempted to kill init!"),
        ("killed", "", "the VM's monitor was killed"),
        ("starved", "", "the VM's monitor was killed: the machine was out of memory"),
        ("crashed", "exit code 1", "the VM's monitor failed: exit code 1"),
        ("silent", "for 60 s", "the guest did not answer any more, and was ended: for 60 s"),
        ("agent", "no room in /run", "the guest's agent failed: no room in /run"),
    ],
)
def test_whatever_ends_the_machine_around_a_payload_is_remembered_and_restarted(
    fault: Fault, text: str, words: str
) -> None:
    story = running()
    event = told(story, fault=fault, fault_text=text)
    assert event.restart and (event.fault, event.foreign) == (fault, fault == "killed")
    run = story["vm"].run
    assert run is not None and how_it_ended(run) == words
    header, _ = story.entries[-1]
    assert words in describe(header, event)
    answer = why_workload(story.machine, story["vm"], {header.seq: (header, event) for header, event in story.entries})
    assert words in answer.conclusion and answer.advice


def test_a_payload_that_was_killed_inside_was_killed_by_no_other_hand() -> None:
    assert not told(running()).foreign


def test_a_guest_without_memory_says_which_field_gives_it_more() -> None:
    story = running(restart="never")
    told(story, oom_kills=1, memory_limit_bytes=256 << 20)
    past = {header.seq: (header, event) for header, event in story.entries}
    answer = why_workload(story.machine, story["vm"], past)
    assert "killed: out of memory (limit 256 MiB)" in answer.conclusion and "`memoryMib`" in answer.advice
