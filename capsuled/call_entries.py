"""Calls as they stand in the journal: how one is written down, accepted or not, and how one that comes again is found.
Pure."""

from capsuled.caller import Caller, Outcome
from journal.events import CallAccepted, CallDenied, CallRefused
from projections.calls import KEEP_NS
from projections.intents import (
    AddKey,
    Adopt,
    Apply,
    ChangeRole,
    Checkpoint,
    CollectImages,
    ConfigureRegistry,
    EndMachine,
    ForgetRegistry,
    GrowDisk,
    Intent,
    RemoveImage,
    RemoveKey,
    Rollback,
)
from projections.refusals import Refusal, refused
from projections.state import Machine
from projections.update_intents import AddUpdateKey, BeginUpdate, ConfirmUpdate, RemoveUpdateKey, RollBackUpdate

OBJECT_CHARS = 128
"""No name that is good is longer; one that is not must not fill the journal with itself."""

FIELDS_MOST = 64
"""A refusal may be about more fields of a call than anybody will read."""


def accepted(caller: Caller, names: tuple[str, ...], args_hash: str, took_us: int) -> CallAccepted:
    """The entry of a call that was admitted, about the objects of these names."""
    return CallAccepted(
        method=caller.method,
        objects=tuple(name[:OBJECT_CHARS] for name in names),
        call_id=caller.call_id,
        args_hash=args_hash,
        login=caller.login,
        peer=caller.peer,
        jti=caller.jti,
        token_exp=caller.token_exp,
        arguments=caller.arguments,
        took_us=took_us,
    )


def turned_down(refusal: Refusal, caller: Caller, names: tuple[str, ...], took_us: int) -> CallRefused | CallDenied:
    """The entry of one that was not: which fields were given it says, what they held it does not."""
    kind = CallDenied if refusal.code == "PERMISSION_DENIED" else CallRefused
    return kind(
        method=caller.method,
        reason=refusal.reason,
        code=refusal.code,
        objects=tuple(name[:OBJECT_CHARS] for name in names),
        fields=tuple(field[:OBJECT_CHARS] for field in refusal.fields[:FIELDS_MOST]),
        login=caller.login,
        peer=caller.peer,
        jti=caller.jti,
        token_exp=caller.token_exp,
        given=tuple(path for path, _ in caller.arguments),
        took_us=took_us,
    )


def key_of(caller: Caller) -> tuple[str, str, str]:
    """What a call is found again by: its id is its caller's and its method's."""
    return caller.actor.id, caller.method, caller.call_id


def again(machine: Machine, caller: Caller, args_hash: str, age_ns: int) -> Outcome | Refusal | None:
    """What a call with this id was answered before, `age_ns` being the machine's age now; None for one that is new."""
    record = machine.calls.get(key_of(caller))
    if record is None:
        return None
    if record.args_hash != args_hash:
        return refused(
            "INVALID_ARGUMENT",
            "CALL_ID_REUSED",
            "this call id was used for a call with other arguments: use a new id for a new call",
            "capsule-call-id",
        )
    if age_ns - record.lived_ns > KEEP_NS:
        return refused(
            "FAILED_PRECONDITION",
            "CALL_ID_EXPIRED",
            "this call id is older than 7 days: what became of the call stands in `capsulectl history`",
            "capsule-call-id",
        )
    return Outcome(record.seq, (), repeated=True)


def objects_of(intent: Intent) -> tuple[str, ...]:
    """The names of what a call is about, as history finds it by."""
    match intent:
        case Apply():
            volumes = tuple(declared.name for declared in intent.volumes)
            return (*volumes, *(declared.name for declared in intent.workloads))
        case Rollback():
            return intent.names
        case Adopt() | AddKey() | RemoveKey() | ChangeRole() | AddUpdateKey() | RemoveUpdateKey():
            return (intent.kid,)
        case RemoveImage():
            return (intent.ref,)
        case ConfigureRegistry() | ForgetRegistry():
            return (intent.host,)
        case CollectImages() | Checkpoint() | EndMachine() | GrowDisk():
            return ()
        case BeginUpdate() | ConfirmUpdate() | RollBackUpdate():
            return ()
        case _:
            return (intent.name,)
