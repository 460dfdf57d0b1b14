"""What ended the whole machine is told where it explains: a run that went with it, a volume that stayed elsewhere."""

import pytest

from journal.events import DaemonStarted, Event, JournalRestored, MachineHalted, VolumeApplied, VolumeLost, VolumeMade
from projections.advice import BY_REASON
from projections.intents import Restart
from projections.why import Why, why_volume
from tests.support.story import Story, declared
from tests.unit.projections.test_why import past_of, texts, why


@pytest.fixture
def story() -> Story:
    """Web was begun anew by an operator: run 2 is there for it."""
    made = Story()
    made.tell(DaemonStarted("os", "first"))
    made.apply(declared("web"))
    made.converge()
    made.call(Restart("web"))
    made.converge()
    return made


ENDS: dict[str, tuple[list[Event], str]] = {
    "halted": ([MachineHalted(at=7, boot="boot-1")], "web run 2 ended with the machine, which was halted"),
    "power-lost": ([], "web run 2 ended with the machine, which lost its power"),
    "moved": ([JournalRestored(9, "ab")], "web run 2 was another machine's, whose memory this one has"),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_run_after_the_machine_ended_is_there_for_that_and_not_for_an_older_restart(story: Story, how: str) -> None:
    events, says = ENDS[how]
    end = story.machine.seq + 1
    story.tell(*events)
    story.reboot("boot-2")
    assert texts(why(story))[1:] == [says], "before anything is done about it"
    story.converge()
    answer = why(story)
    assert texts(answer) == ["web created (docker.io/library/busybox:1)", says, "web run 3 started, pid 100"]
    assert answer.chain[1].seq == end


def test_a_halt_in_the_same_boot_is_told_too_and_a_new_life_of_the_daemon_is_not(story: Story) -> None:
    story.tell(MachineHalted(at=7, boot="boot-1"), DaemonStarted("os", "crash"))
    story.converge()
    assert texts(why(story))[1] == "web run 2 ended with the machine, which was halted"
    story.tell(DaemonStarted("os", "crash"))
    story.run_ends("web", 3)
    assert [text.split(" (")[0].split(";")[0] for text in texts(why(story))] == [
        "web created",
        "web run 2 ended with the machine, which was halted",
        "web run 3 exited with code 3",
    ]


def test_a_restart_that_was_not_done_yet_when_the_machine_ended_is_told_with_it(story: Story) -> None:
    story.call(Restart("web"))
    story.reboot("boot-2")
    story.converge()
    assert texts(why(story)) == [
        "web shall begin a new run",
        "web run 2 ended with the machine, which lost its power",
        "web run 3 started, pid 100",
    ]


def test_a_restart_after_the_machine_ended_is_what_the_run_is_there_for(story: Story) -> None:
    story.reboot("boot-2")
    story.call(Restart("web"))
    story.run_starts("web")
    assert texts(why(story)) == ["web shall begin a new run", "web run 3 started, pid 100"]


def test_what_shall_not_run_again_is_told_by_what_the_machine_did() -> None:
    story = Story()
    story.tell(DaemonStarted("os", "first"))
    story.apply(declared("web", restart="never"))
    story.run_starts("web")
    story.reboot("boot-2")
    answer = why(story)
    assert answer.detail == "failed"
    assert texts(answer)[-1] == "web run 1 ended with the machine, which lost its power"


def of_volume(story: Story) -> Why:
    return why_volume(story.machine.volumes["data"], past_of(story))


def test_a_volume_that_stayed_on_the_other_machine_is_told_so_and_not_as_a_loss_of_data() -> None:
    story = Story()
    story.tell(VolumeApplied("data", 1 << 30, created=True), VolumeMade("data", 1, 1 << 30))
    story.tell(JournalRestored(2, "ab"), DaemonStarted("os", "restored"), VolumeLost("data", 1))
    lost = of_volume(story)
    assert lost.conclusion == (
        "volume data is not in the storage: its content stayed on the other machine, whose memory this one has"
    )
    assert [link.seq for link in lost.chain] == [1, 3, 5]
    assert lost.chain[1].text.startswith("this machine took over the memory")
    assert lost.advice == BY_REASON["VOLUME_MISSING"].format(name="data")


def test_a_loss_of_what_was_here_since_or_was_lost_before_has_nothing_to_do_with_a_restore() -> None:
    for events in (
        (JournalRestored(2, "ab"), VolumeMade("data", 1, 1 << 30), VolumeLost("data", 1)),
        (VolumeLost("data", 1), JournalRestored(3, "ab")),
    ):
        story = Story()
        story.tell(VolumeApplied("data", 1 << 30, created=True), VolumeMade("data", 1, 1 << 30), *events)
        lost = of_volume(story)
        assert lost.conclusion == "volume data is not in the storage any more"
        assert "took over" not in str(texts(lost))
