"""Operators: the keys that may drive the machine, and the window in which the first of them is taken in."""

from msgspec.structs import replace

from journal.entry import Header
from journal.events import OperatorEnrolled, OperatorRemoved, OperatorRoleChanged, OperatorsReset
from projections.handlers import Handlers
from projections.state import Deadline, Machine, Operator

CLAIM_NS = 30 * 60 * 1_000_000_000
"""How long after the beginning of a boot a machine that has no key may be adopted."""


def claim_left_ns(machine: Machine, boot: str, mono_ns: int) -> int:
    """How much of the window in which whoever asks first may adopt the machine is left; 0 when it is closed."""
    since = machine.claimable_since
    if machine.operators or since is None or since.boot != boot:
        return 0
    return max(0, since.mono_ns + CLAIM_NS - mono_ns)


def kept_admin(machine: Machine, own: Operator) -> Operator:
    """How the key of whoever has a machine take over this state stands in it from then on: as an admin's, and where it
    is known otherwise as it is known."""
    return replace(machine.operators.get(own.kid, own), role="admin")


def keeping(machine: Machine, own: Operator) -> tuple[OperatorEnrolled | OperatorRoleChanged, ...]:
    """What makes it so; nothing where it is."""
    known = machine.operators.get(own.kid)
    if known is None:
        return (OperatorEnrolled(own.kid, own.public_key, own.name, role="admin"),)
    return () if known.role == "admin" else (OperatorRoleChanged(own.kid, "admin"),)


def shut(machine: Machine, header: Header) -> None:
    """The window of this boot is over before it began."""
    machine.claimable_since = Deadline(header.boot, header.mono - CLAIM_NS)


def enrolled(machine: Machine, header: Header, event: OperatorEnrolled) -> None:
    """The key is known from now."""
    machine.operators[event.kid] = Operator(
        kid=event.kid,
        public_key=event.public_key,
        name=event.operator,
        role=event.role,
        added_by=event.added_by,
        added_at=header.at,
        seq=header.seq,
    )


def removed(machine: Machine, header: Header, event: OperatorRemoved) -> None:
    """The key is unknown from now."""
    machine.operators.pop(event.kid, None)


def role_changed(machine: Machine, header: Header, event: OperatorRoleChanged) -> None:
    """The key may do more, or less."""
    operator = machine.operators.get(event.kid)
    if operator is not None:
        machine.operators[event.kid] = replace(operator, role=event.role)


def reset(machine: Machine, header: Header, event: OperatorsReset) -> None:
    """Nobody is known."""
    machine.operators.clear()


HANDLERS: Handlers = {
    OperatorEnrolled: enrolled,
    OperatorRemoved: removed,
    OperatorRoleChanged: role_changed,
    OperatorsReset: reset,
}
