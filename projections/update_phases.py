"""An update's phases: one table and one advance function; the manual's diagram is drawn from the table."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class UpdatePhase(StrEnum):
    """Where an update stands."""

    STAGING = "staging"
    STAGED = "staged"
    ARMING = "arming"
    ARMED = "armed"
    TENTATIVE = "tentative"
    CONFIRMING = "confirming"
    RETURNING = "returning"
    FAILED = "failed"
    DROPPED = "dropped"
    CONFIRMED = "confirmed"
    ROLLED_BACK = "rolled-back"


class UpdateMove(StrEnum):
    """What can happen to it."""

    STAGE = "stage"
    FAIL = "fail"
    ARM = "arm"
    ARMED = "armed"
    DISARM = "disarm"
    BOOT = "boot"
    CONFIRM = "confirm"
    FIND = "find it to be the default"
    CONFIRMED = "confirmed"
    RETURN = "return"
    ROLL_BACK = "roll back"
    LEAVE = "be left behind with its machine"


P, M = UpdatePhase, UpdateMove

TABLE: Mapping[tuple[UpdatePhase, UpdateMove], UpdatePhase] = MappingProxyType(
    {
        (P.STAGING, M.STAGE): P.STAGED,
        (P.STAGING, M.FAIL): P.FAILED,
        (P.STAGED, M.ARM): P.ARMING,
        (P.STAGED, M.DISARM): P.DROPPED,
        (P.ARMING, M.ARMED): P.ARMED,
        (P.ARMING, M.DISARM): P.DROPPED,
        (P.ARMED, M.DISARM): P.DROPPED,
        (P.ARMED, M.BOOT): P.TENTATIVE,
        # The boot loader has it as its default already, whatever is known of its trial, or was to become of it. (No
        # release is out that lets this go by from ARMED and RETURNING: else it would need a version of its own.)
        (P.ARMED, M.FIND): P.CONFIRMING,
        (P.TENTATIVE, M.FIND): P.CONFIRMING,
        (P.RETURNING, M.FIND): P.CONFIRMING,
        # It was armed, and the machine is back without a word of the new system's.
        (P.ARMED, M.ROLL_BACK): P.ROLLED_BACK,
        (P.TENTATIVE, M.CONFIRM): P.CONFIRMING,
        (P.TENTATIVE, M.RETURN): P.RETURNING,
        (P.TENTATIVE, M.ROLL_BACK): P.ROLLED_BACK,
        # The intent is durable, and the boot loader's default was not changed: it goes on being tried, or it is over.
        (P.CONFIRMING, M.CONFIRM): P.CONFIRMING,
        (P.CONFIRMING, M.CONFIRMED): P.CONFIRMED,
        (P.CONFIRMING, M.RETURN): P.RETURNING,
        (P.CONFIRMING, M.ROLL_BACK): P.ROLLED_BACK,
        (P.RETURNING, M.ROLL_BACK): P.ROLLED_BACK,
        # Another machine took the memory over: neither its slots nor its boot loader know of it.
        **{
            (phase, M.LEAVE): P.DROPPED
            for phase in (P.STAGING, P.STAGED, P.ARMING, P.ARMED, P.TENTATIVE, P.CONFIRMING, P.RETURNING)
        },
    }
)

ENDS = frozenset({P.FAILED, P.DROPPED, P.CONFIRMED, P.ROLLED_BACK})
"""Nothing happens to it any more."""

ON_TRIAL = frozenset({P.TENTATIVE, P.CONFIRMING, P.RETURNING})
"""The new system runs, and the boot loader's default is the old one, as far as the journal knows."""


class IllegalMove(ValueError):
    """Raised when a phase has no such move; nothing has changed."""


def can(phase: UpdatePhase, move: UpdateMove) -> bool:
    """Whether `advance` would succeed."""
    return (phase, move) in TABLE


def advance(phase: UpdatePhase, move: UpdateMove) -> UpdatePhase:
    """The phase after `move`. Raises IllegalMove."""
    try:
        return TABLE[phase, move]
    except KeyError:
        raise IllegalMove(f"an update that is {phase} cannot {move}") from None
