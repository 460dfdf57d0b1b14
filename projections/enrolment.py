"""Admission of calls about operators' keys: who comes in, with which role, and that somebody always can. Pure."""

from typing import assert_never, get_args

from journal.entry import ActorKind
from journal.events import Event, OperatorEnrolled, OperatorRemoved, OperatorRoleChanged
from projections.ed25519 import is_public_key
from projections.intents import AddKey, Adopt, ChangeRole, KeyIntent, RemoveKey
from projections.operators import CLAIM_NS, claim_left_ns
from projections.refusals import Refusal, conflict, invalid, missing, refused
from projections.state import Machine

NAME_CHARS = 128
KEYS_MAX = 64
"""Bounds what replay protection has to remember."""

_OWN = frozenset(get_args(ActorKind))
"""What stands in the history for whoever has no key, `local(anna)` included: nobody with a key passes for that."""


def admit_key(machine: Machine, intent: KeyIntent) -> tuple[Event, ...] | Refusal:
    """The events of the call, none when all was so already, or why it is refused."""
    match intent:
        case Adopt():
            return _adopt(machine, intent)
        case AddKey():
            return _add(machine, intent)
        case RemoveKey():
            return _remove(machine, intent)
        case ChangeRole():
            return _change(machine, intent)
        case _:
            assert_never(intent)


def _adopt(machine: Machine, call: Adopt) -> tuple[Event, ...] | Refusal:
    bad = check_key(call)
    if bad is not None:
        return bad
    if call.kid in machine.operators:
        return ()  # second operators, and clients that ask again, depend on it
    if not claim_left_ns(machine, call.boot, call.mono_ns):
        return conflict("ADOPTION_CLOSED", _closed(machine))
    return (OperatorEnrolled(call.kid, call.public_key, call.name, role="admin", how="adopted"),)


def _closed(machine: Machine) -> str:
    if machine.operators:
        return (
            "adoption window closed: this capsule has an operator already. Ask an admin of it for "
            "`capsulectl key add` with your public key (`capsulectl key show` prints it)"
        )
    return (
        f"adoption window closed: a capsule without a key can be adopted for {CLAIM_NS // 60_000_000_000} minutes "
        "after it booted, and not in the boot in which it took over a memory (`restore`). Boot it again, or use "
        "`capsulectl key add` on the machine itself"
    )


def _add(machine: Machine, call: AddKey) -> tuple[Event, ...] | Refusal:
    bad = check_key(call)
    if bad is not None:
        return bad
    known = machine.operators.get(call.kid)
    if known is not None:
        return refused(
            "ALREADY_EXISTS",
            "KEY_ENROLLED",
            f"this key is enrolled already, as {known.name or known.kid} with the role {known.role}",
            "pubkey",
        )
    if len(machine.operators) >= KEYS_MAX:
        return refused("RESOURCE_EXHAUSTED", "TOO_MANY_KEYS", f"{KEYS_MAX} keys are enrolled: remove one first")
    if not machine.operators and call.role != "admin":
        return conflict("NO_ADMIN", "the first key must be an admin's: say `--role admin`", "role")
    return (OperatorEnrolled(call.kid, call.public_key, call.name, role=call.role, how="added", added_by=call.by),)


def check_key(call: Adopt | AddKey) -> Refusal | None:
    """Why no such key is enrolled, whoever asks for it."""
    if not is_public_key(call.public_key):
        words = "an operator's key is a raw Ed25519 public key of 32 bytes, and none that anybody can sign for"
        return invalid("BAD_KEY", words, "pubkey")
    if len(call.name) > NAME_CHARS or not call.name.isprintable():
        return invalid("BAD_NAME", f"an operator's name has at most {NAME_CHARS} printable characters", "name")
    if call.name.partition("(")[0].strip() in _OWN:
        return invalid("BAD_NAME", f"the history calls the machine itself {call.name}: choose another name", "name")
    return None


def _remove(machine: Machine, call: RemoveKey) -> tuple[Event, ...] | Refusal:
    if call.kid not in machine.operators:
        return _unknown()
    if _is_last_admin(machine, call.kid):
        return conflict(
            "LAST_ADMIN",
            "this is the last admin's key: without it nobody could let anybody in. Add another admin first",
            "kid",
        )
    return (OperatorRemoved(call.kid),)


def _change(machine: Machine, call: ChangeRole) -> tuple[Event, ...] | Refusal:
    operator = machine.operators.get(call.kid)
    if operator is None:
        return _unknown()
    if operator.role == call.role:
        return ()
    if _is_last_admin(machine, call.kid):
        return conflict("LAST_ADMIN", "this is the last admin's key: give another key the role admin first", "role")
    return (OperatorRoleChanged(call.kid, call.role),)


def _unknown() -> Refusal:
    return missing("KEY_NOT_FOUND", "no such key is enrolled: `capsulectl key list` shows those that are", "kid")


def _is_last_admin(machine: Machine, kid: str) -> bool:
    return [one.kid for one in machine.operators.values() if one.role == "admin"] == [kid]
