"""What an operator is told of a workload, for every state it can be in."""

from collections.abc import Callable
from typing import Unpack

import pytest

from journal.events import EffectFailed, EffectStarted, MachineHalted, WorkloadLost
from projections.conditions import conditions_of
from projections.details import Detail
from projections.intents import Delete, Restart, Stop
from projections.status import Phase, Status, status_of
from tests.support.story import Declaring, Story, declared

Told = Callable[[Story], object]


def applied(*args: str, **fields: Unpack[Declaring]) -> Told:
    return lambda story: story.apply(declared("web", *args, **fields))


def begins(story: Story) -> None:
    story.tell(EffectStarted("StartRun", "web", 1, run=1, revision=1))


def starts(story: Story) -> None:
    story.run_starts("web")


def ends(code: int) -> Told:
    return lambda story: story.run_ends("web", code)


def stops(story: Story) -> None:
    story.tell(EffectStarted("StopRun", "web", 1, run=1))


def called(intent: Stop | Restart | Delete) -> Told:
    return lambda story: story.call(intent)


def fails(permanent: bool) -> Told:
    message = "no\tsuch\nfile"
    return lambda story: story.tell(EffectFailed("StartRun", "web", 1, "X", message, run=1, permanent=permanent))


def vanishes(story: Story) -> None:
    story.tell(WorkloadLost("web", 1, 1, "vanished"))


def halts(story: Story) -> None:
    story.tell(MachineHalted())


STOP, RESTART, DELETE = called(Stop("web")), called(Restart("web")), called(Delete("web"))


@pytest.mark.parametrize(
    ("told", "phase", "detail", "words"),
    [
        ([applied()], Phase.PENDING, "pending", ""),
        ([applied(desired="stopped")], Phase.STOPPED, "stopped", ""),
        ([applied(), begins], Phase.PENDING, "starting", ""),
        ([applied(), starts], Phase.RUNNING, "running", ""),
        ([applied(), starts, applied("two")], Phase.PENDING, "replacing", ""),
        ([applied(), starts, RESTART], Phase.PENDING, "stopping", ""),
        ([applied(), starts, STOP], Phase.PENDING, "stopping", ""),
        ([applied(), starts, STOP, stops], Phase.PENDING, "stopping", ""),
        ([applied(), starts, STOP, stops, ends(143)], Phase.STOPPED, "stopped", "code 143"),
        ([applied(), starts, RESTART, ends(0)], Phase.PENDING, "starting", ""),
        ([applied(), starts, applied("two"), ends(0)], Phase.PENDING, "starting", ""),
        ([applied(), starts, ends(3)], Phase.PENDING, "backoff", "code 3"),
        ([applied(restart="never"), starts, ends(0)], Phase.STOPPED, "completed", "code 0"),
        ([applied(restart="never"), starts, ends(3)], Phase.FAILED, "failed", "code 3"),
        ([applied(), starts, vanishes], Phase.PENDING, "restarting", "lost: vanished"),
        ([applied(restart="never"), starts, vanishes], Phase.FAILED, "failed", "lost: vanished"),
        ([applied(restart="never"), starts, halts], Phase.FAILED, "failed", "which was halted"),
        ([applied(), starts, halts], Phase.PENDING, "restarting", "run 1 ended with the machine, which was halted"),
        ([applied(), begins, fails(False)], Phase.PENDING, "retrying", "no such file"),
        ([applied(), begins, fails(True)], Phase.FAILED, "failed", "no such file"),
        ([applied(), DELETE], Phase.PENDING, "deleting", ""),
        ([applied(), starts, DELETE], Phase.PENDING, "deleting", ""),
    ],
)
def test_a_phase_and_why(told: list[Told], phase: Phase, detail: str, words: str) -> None:
    story = Story()
    for one in told:
        one(story)
    status = status_of(story["web"])
    assert (status.phase, status.detail) == (phase, detail)
    assert words in status.message if words else status.message == ""
    assert "\t" not in status.message and "\n" not in status.message


def test_what_a_tool_said_in_several_lines_is_one_in_every_message() -> None:
    said = "mkfs.ext4: No space left\n\twhile writing\r\nout of space"
    line = " ".join(said.split())
    waiting, failed, lost = Story(), Story(), Story()
    for story in (waiting, failed, lost):
        story.apply(declared("web"))
    assert status_of(waiting["web"], waits=said) == Status(Phase.PENDING, Detail.WAITING, line)
    failed.tell(EffectFailed("StartRun", "web", 1, "X", said, run=1))
    lost.run_starts("web")
    lost.tell(WorkloadLost("web", 1, 1, said, restart=False))
    messages = [status_of(story["web"]).message for story in (failed, lost)]
    messages += [one.message for story in (failed, lost) for one in conditions_of(story["web"])]
    assert messages[0] == line and line in messages[1]
    assert all("\n" not in message and "\t" not in message for message in messages)


@pytest.mark.parametrize(
    ("told", "detail"),
    [
        ([applied()], "waiting"),
        ([applied(), starts], "running"),
        ([applied(), starts, ends(3)], "waiting"),
        ([applied(), starts, RESTART, ends(0)], "waiting"),
        ([applied(), starts, applied("two"), ends(0)], "waiting"),
        ([applied(restart="never"), starts, ends(0)], "completed"),
    ],
)
def test_what_is_not_there_yet_is_waited_for_by_who_is_to_begin_a_run(told: list[Told], detail: str) -> None:
    story = Story()
    for one in told:
        one(story)
    assert status_of(story["web"], waits="it waits for db").detail == detail
