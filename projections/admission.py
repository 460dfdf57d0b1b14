"""Admission: a call against the head state becomes events, or a refusal with its reason. Pure.

Calls are admitted strictly one after another on the head state (entries that are not yet durable included), so of
two calls that want the same port exactly one wins, whatever the batch they are committed in.
"""

from collections.abc import Sequence
from typing import assert_never

import msgspec
from msgspec.structs import replace

from journal.events import (
    AppliedWorkload,
    DiskGrowthRequested,
    Event,
    ImageRemovalRequested,
    MachineEndRequested,
    RollbackRequested,
    WorkloadApplied,
    WorkloadDeleteRequested,
    WorkloadRestartRequested,
    WorkloadStartRequested,
    WorkloadStopRequested,
)
from journal.specs import ImagePin
from projections.allocator import Allocator
from projections.dependencies import check_dependencies
from projections.enrolment import admit_key
from projections.foreign import waits_for_word
from projections.images import check_removable, collectable, names_of, unnamed_by, users
from projections.intents import (
    AddKey,
    Adopt,
    Apply,
    ChangeRole,
    Checkpoint,
    CollectImages,
    ConfigureRegistry,
    CreateSecret,
    CreateVolume,
    Declared,
    Delete,
    DeleteSnapshot,
    DeleteVolume,
    EndMachine,
    ForgetRegistry,
    GrowDisk,
    ImportVolume,
    Intent,
    RemoveImage,
    RemoveKey,
    RemoveSecret,
    ResizeVolume,
    Restart,
    RestoreVolume,
    RevealEnv,
    RevealSecret,
    Rollback,
    RotateSecret,
    Start,
    Stop,
    TakeSnapshot,
)
from projections.phases import LIVE
from projections.refusals import (
    Refusal,
    about,
    conflict,
    in_section,
    invalid,
    missing,
    no_workload,
    refused,
    wrong_phase,
)
from projections.registries import admit_registry
from projections.retention import admit_checkpoint
from projections.rules import (
    ENV_CALL_MOST,
    check_change,
    check_host_ports,
    check_labels,
    check_room,
    check_spec,
    check_takes,
)
from projections.secret_admission import admit_secret, check_secrets, reveal_env
from projections.state import Machine, Workload
from projections.update_admission import admit_update
from projections.update_intents import AddUpdateKey, BeginUpdate, ConfirmUpdate, RemoveUpdateKey, RollBackUpdate
from projections.volume_admission import (
    admit_volume,
    check_held,
    check_holders,
    check_start,
    declare_volumes,
    pin_mounts,
)
from projections.words import KINDS


class Admitted(msgspec.Struct, frozen=True):
    """The call stands: these events say what it changes (none, if all was so already)."""

    events: tuple[Event, ...]


def admit(machine: Machine, intent: Intent, capabilities: frozenset[str]) -> Admitted | Refusal:
    """Decide on `intent`. `capabilities` names what this machine's drivers can honour (`network.bridge`, …)."""
    match intent:
        case Apply():
            return _apply(machine, intent, capabilities)
        case Rollback():
            return _roll_back(machine, intent, capabilities)
        case Delete():
            return _delete(machine, intent)
        case Stop() | Start() | Restart():
            return _switch(machine, intent)
        case RevealEnv():
            asked = reveal_env(machine, intent)
            return asked if isinstance(asked, Refusal) else Admitted(asked)
        case CreateVolume() | ImportVolume() | ResizeVolume() | DeleteVolume():
            events = admit_volume(machine, intent, capabilities)
            return events if isinstance(events, Refusal) else Admitted(events)
        case TakeSnapshot() | DeleteSnapshot() | RestoreVolume():
            events = admit_volume(machine, intent, capabilities)
            return events if isinstance(events, Refusal) else Admitted(events)
        case Adopt() | AddKey() | RemoveKey() | ChangeRole():
            events = admit_key(machine, intent)
            return events if isinstance(events, Refusal) else Admitted(events)
        case RemoveImage():
            return check_removable(machine) or _remove_image(machine, intent)
        case ConfigureRegistry() | ForgetRegistry():
            said = admit_registry(machine, intent)
            return said if isinstance(said, Refusal) else Admitted(said)
        case CreateSecret() | RotateSecret() | RevealSecret() | RemoveSecret():
            told = admit_secret(machine, intent)
            return told if isinstance(told, Refusal) else Admitted(told)
        case Checkpoint():
            forgotten = admit_checkpoint(machine, intent)
            return forgotten if isinstance(forgotten, Refusal) else Admitted(forgotten)
        case CollectImages():
            if (held := check_removable(machine)) is not None:
                return held
            leaving = collectable(machine, intent.everything)
            return Admitted((ImageRemovalRequested(leaving.refs, leaving.digests, partial=True),))
        case EndMachine():
            return Admitted((MachineEndRequested(intent.order),))
        case GrowDisk():
            return Admitted((DiskGrowthRequested(),))
        case BeginUpdate() | ConfirmUpdate() | RollBackUpdate() | AddUpdateKey() | RemoveUpdateKey():
            switched = admit_update(machine, intent)
            return switched if isinstance(switched, Refusal) else Admitted(switched)
        case _:
            assert_never(intent)


def _apply(machine: Machine, call: Apply, capabilities: frozenset[str]) -> Admitted | Refusal:
    if not call.workloads and not call.volumes:
        return invalid("EMPTY_APPLY", "nothing to apply: the call names no workload and no volume", "workloads")
    names = [declared.name for declared in call.workloads]
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        return invalid("DUPLICATE_NAME", f"{doubled} is declared more than once in this call", "workloads.name")
    if sum(len(declared.spec.env) for declared in call.workloads) > ENV_CALL_MOST:
        words = f"a call declares at most {ENV_CALL_MOST} environment variables: apply the manifests in several calls"
        return invalid("TOO_MANY_VARIABLES", words, "workloads.container.env")
    race = _race(machine, call.expect_seq, names, [volume.name for volume in call.volumes])
    if race is not None:
        return race
    volumes = declare_volumes(machine, call.volumes, capabilities)
    if isinstance(volumes, Refusal):
        return volumes
    items: list[AppliedWorkload] = []
    allocator = Allocator(machine, call.subnet, [declared.spec for declared in call.workloads], call.host)
    for declared in call.workloads:
        item = _item(machine, declared, call, capabilities)
        if not isinstance(item, Refusal):
            item = check_secrets(machine, item) or item
        if not isinstance(item, Refusal):
            item = pin_mounts(machine, item, volumes.created)
        if not isinstance(item, Refusal):
            item = allocator.allot(item)
        if isinstance(item, Refusal):
            item = in_section(declared.kind, item)
            return about(declared.name, item) if len(names) > 1 else item
        items.append(replace(item, completed=_stays_done(machine.workloads.get(item.name), item)))
    taken = check_takes(machine, items) or check_holders(machine, items) or check_held(machine, items)
    taken = taken or check_dependencies(machine, items) or check_room(machine, items)
    if taken is not None:
        return taken
    acting = tuple(item for item in items if _acts(machine.workloads.get(item.name), item))
    return Admitted((*volumes.events, *((WorkloadApplied(acting),) if acting else ())))


def _roll_back(machine: Machine, call: Rollback, capabilities: frozenset[str]) -> Admitted | Refusal:
    """What goes back is declared like anything else, after the deletion of what was not there then was asked for. That
    one is judged as any that is being deleted: its volumes are waited for, its host ports its own until it is gone."""
    doubled = next((name for name in call.names if call.names.count(name) > 1), None)
    if doubled is not None:
        return invalid("DUPLICATE_NAME", f"{doubled} is named more than once in this call", "workloads.name")
    race = _race(machine, call.expect_seq, [call.name] if call.name else [])
    if race is not None:
        return race
    events: list[Event] = []
    for name in call.gone:
        events += _deletion(machine, name)
    if call.apply.workloads:
        verdict = _apply(_after_deletions(machine, call.gone), call.apply, capabilities)
        if isinstance(verdict, Refusal):
            return verdict
        events += verdict.events
    if not events:
        return Admitted(())
    return Admitted((RollbackRequested(call.to_seq, call.names, call.reason, call.left), *events))


def _after_deletions(machine: Machine, names: tuple[str, ...]) -> Machine:
    """As it is once the deletion of these was asked for."""
    after = machine.fork()
    for name in machine.workloads.keys() & names:
        after.workloads[name] = replace(machine.workloads[name], desired="deleting")
    return after


def _race(machine: Machine, expect_seq: int | None, names: list[str], volumes: Sequence[str] = ()) -> Refusal | None:
    """A batch is guarded by the whole machine's desired state, one object by its own."""
    if expect_seq is None:
        return None
    if len(names) + len(volumes) == 1:
        what = (*names, *volumes)[0]
        one = machine.workloads.get(what) if names else machine.volumes.get(what)
        actual = 0 if one is None else one.desired_seq
    else:
        actual, what = machine.desired_seq, "the machine"
    if actual == expect_seq:
        return None
    return refused(
        "ABORTED",
        "SEQUENCE_MISMATCH",
        f"{what} was last changed at {actual}, not at {expect_seq}: read it again, then repeat the call",
        "expect_seq",
    )


def _item(machine: Machine, declared: Declared, call: Apply, capabilities: frozenset[str]) -> AppliedWorkload | Refusal:
    before = machine.workloads.get(declared.name)
    if before is not None and before.desired == "deleting":
        return refused(
            "ABORTED",
            "DELETING",
            f"{declared.name} is being deleted: wait until it is gone, then apply again",
            "name",
        )
    bad = check_spec(declared, capabilities, call.abilities)
    if bad is not None:
        return bad
    pin = _pin(before, declared, call.pull)
    if pin is None and declared.unresolved is not None:
        return declared.unresolved
    if pin is None:
        return missing(
            "IMAGE_NOT_FOUND",
            f"image {declared.image_ref} is not on this machine: bring it with `capsulectl image push FILE`",
            "container.image",
            code="FAILED_PRECONDITION",
        )
    if pin.index_digest in machine.leaving or (declared.cached and pin.index_digest not in machine.cached):
        return refused(
            "ABORTED",
            "IMAGE_LEAVING",
            f"image {pin.ref} is being removed at this moment: apply again",
            "container.image",
        )
    if before is not None and before.kind != declared.kind:
        words = f"{declared.name} is a {KINDS[before.kind]}: delete it before you change its kind"
        return conflict("KIND_FIXED", words, "kind")
    spec = replace(declared.spec, image=pin)
    if before is None or before.spec != spec:
        bad = check_change(declared, call.abilities) or check_host_ports(machine, declared, call.host)
        if bad is not None:
            return bad
    bad = check_labels(declared, frozenset() if before is None else frozenset(name for name, _ in before.labels))
    if bad is not None:
        return bad
    return AppliedWorkload(
        name=declared.name,
        kind=declared.kind,
        container=spec,
        labels=declared.labels,
        desired=declared.desired,
        created=before is None,
        relabelled=before is not None and before.labels != declared.labels,
        depends_on=declared.depends_on,
        reordered=before is not None and before.depends_on != declared.depends_on,
        asked=declared.asked and pin is declared.resolved,
        drift=declared.drift,
        policed=before is not None and before.drift != declared.drift,
        repaired=before is not None and waits_for_word(machine, before),
    )


def _pin(before: Workload | None, declared: Declared, pull: bool) -> ImagePin | None:
    """A tag that was resolved once stays what it was while the string stays the same, unless a pull is asked for."""
    if before is not None and before.spec.image.ref == declared.image_ref and not pull:
        return before.spec.image
    return declared.resolved


def _stays_done(before: Workload | None, item: AppliedWorkload) -> bool:
    """Whether a job that has come to its good end is declared as it was: whoever applies a directory of manifests once
    more does not mean that its jobs be done twice. What is still to be cleaned or mended of it begins nothing."""
    return before is not None and before.completed and before.desired == item.desired and not item.changed


def _acts(before: Workload | None, item: AppliedWorkload) -> bool:
    """Whether the item says anything new: the same spec on what runs already is no event."""
    if before is None or before.desired != item.desired:
        return True
    if item.changed or item.relabelled or item.reordered or item.policed or item.repaired:
        return True
    if item.desired == "stopped":
        return False
    if item.completed:
        return False
    return before.trouble is not None or (before.run is not None and before.run.phase not in LIVE)


def _delete(machine: Machine, call: Delete) -> Admitted | Refusal:
    # What does not exist is deleted, whatever was read of it: clients rely on it.
    race = _race(machine, call.expect_seq, [call.name]) if call.name in machine.workloads else None
    return race or Admitted(_deletion(machine, call.name))


def _deletion(machine: Machine, name: str) -> tuple[Event, ...]:
    """Its deletion is asked for, unless it does not exist or was asked for already."""
    workload = machine.workloads.get(name)
    if workload is None or workload.desired == "deleting":
        return ()
    return (WorkloadDeleteRequested(name, workload.uid),)


def _switch(machine: Machine, call: Stop | Start | Restart) -> Admitted | Refusal:
    workload = machine.workloads.get(call.name)
    if workload is None:
        return no_workload(call.name, machine.workloads)
    race = _race(machine, call.expect_seq, [call.name])
    if race is not None:
        return race
    if workload.desired == "deleting":
        return refused("ABORTED", "DELETING", f"{call.name} is being deleted", "name")
    match call:
        case Stop():
            if workload.desired == "stopped":
                return Admitted(())
            return Admitted((WorkloadStopRequested(call.name, workload.uid),))
        case Start():
            idle = workload.run is not None and workload.run.phase not in LIVE
            content = workload.trouble is None and not waits_for_word(machine, workload)
            if workload.desired == "running" and not idle and content:
                return Admitted(())
            held = check_start(machine, workload)
            if held is not None:
                return held
            return Admitted((WorkloadStartRequested(call.name, workload.uid),))
        case Restart():
            if workload.desired == "stopped":
                return wrong_phase(
                    "STOPPED", f"{call.name} is stopped: `capsulectl workload start {call.name}` starts it"
                )
            return Admitted((WorkloadRestartRequested(call.name, workload.uid),))
        case _:
            assert_never(call)


def _remove_image(machine: Machine, call: RemoveImage) -> Admitted | Refusal:
    image = machine.images.get(call.ref)
    digest = call.ref if image is None else image.pin.index_digest
    if image is None and digest not in machine.cached:
        return missing(
            "IMAGE_NOT_FOUND",
            f"image {call.ref} is not in the image cache: `capsulectl image list` shows those there are",
            "ref",
        )
    using = users(machine, digest)
    if image is not None and names_of(machine, digest) != (call.ref,):
        # One name of several: only those who were applied with this one would miss it.
        using = tuple(name for name in using if machine.workloads[name].spec.image.ref == call.ref)
    if using:
        them = "it" if len(using) == 1 else "them"
        return conflict(
            "IMAGE_IN_USE",
            f"image {call.ref} is used by {', '.join(using)}: delete {' and '.join(using)}, or apply {them} with "
            "another image, first",
            "ref",
        )
    if image is None:
        return Admitted((ImageRemovalRequested(names_of(machine, digest), (digest,)),))
    # A former revision that may be wanted back keeps the image itself, under its digest.
    unnamed = tuple(one for one in unnamed_by(machine, (call.ref,)) if one == digest)
    return Admitted((ImageRemovalRequested((call.ref,), unnamed),))


__all__ = ["Admitted", "Refusal", "admit"]
