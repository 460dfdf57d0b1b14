"""A run's phases: one table and one advance function; the manual's diagram is drawn from the table."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class RunPhase(StrEnum):
    """Where one life of a process stands."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    EXITED = "exited"
    LOST = "lost"


class RunMove(StrEnum):
    """What can happen to a run."""

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
