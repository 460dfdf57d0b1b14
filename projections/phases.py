"""A run's phases: one table and one advance function; the manual's diagram is drawn from the table."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class RunPhase(StrEnum):
    """Where one life of a process stands."""

    # The text's own hash: Enum's is a Python function, and the fold looks phases up twice an event.
    __hash__ = str.__hash__

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    EXITED = "exited"
    LOST = "lost"


class RunMove(StrEnum):
    """What can happen to a run."""

    __hash__ = str.__hash__

    BEGIN = "begin"
    START = "start"
    STOP = "stop"
    EXIT = "exit"
    LOSE = "lose"


class IllegalMove(ValueError):
    """Raised when a phase has no such move; nothing has changed."""


TABLE: Mapping[tuple[RunPhase, RunMove], RunPhase] = MappingProxyType(
    {
        # A second `begin` is a start tried again after a failure or a crash: the same run, still to be made.
        (RunPhase.STARTING, RunMove.BEGIN): RunPhase.STARTING,
        (RunPhase.STARTING, RunMove.START): RunPhase.RUNNING,
        (RunPhase.STARTING, RunMove.STOP): RunPhase.STOPPING,
        (RunPhase.STARTING, RunMove.EXIT): RunPhase.EXITED,
        (RunPhase.STARTING, RunMove.LOSE): RunPhase.LOST,
        (RunPhase.RUNNING, RunMove.STOP): RunPhase.STOPPING,
        (RunPhase.RUNNING, RunMove.EXIT): RunPhase.EXITED,
        (RunPhase.RUNNING, RunMove.LOSE): RunPhase.LOST,
        (RunPhase.STOPPING, RunMove.STOP): RunPhase.STOPPING,
        (RunPhase.STOPPING, RunMove.EXIT): RunPhase.EXITED,
        (RunPhase.STOPPING, RunMove.LOSE): RunPhase.LOST,
    }
)

BY_MOVE: Mapping[RunMove, Mapping[RunPhase, RunPhase]] = {
    move: {phase: after for (phase, made), after in TABLE.items() if made is move} for move in RunMove
}
"""The table by moves: what each of them makes of each phase."""

LIVE = frozenset({RunPhase.STARTING, RunPhase.RUNNING, RunPhase.STOPPING})
"""Phases in which something of the run may exist in the world."""


def can(phase: RunPhase, move: RunMove) -> bool:
    """Whether `advance` would succeed."""
    return (phase, move) in TABLE


def advance(phase: RunPhase, move: RunMove) -> RunPhase:
    """The phase after `move`. Raises IllegalMove."""
    try:
        return TABLE[phase, move]
    except KeyError:
        raise IllegalMove(f"a run that is {phase} cannot {move}") from None
