"""A whole state as clients see it, and what is different between two of them. Pure: nothing is asked of the world."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from capsule.v1 import history_pb2 as pb
from capsule.v1 import image_pb2, machine_pb2
from capsuled.shortening import cut_changes, cut_statuses
from capsuled.wire import field_changes, workload_message
from capsuled.wire_drift import difference_message
from capsuled.wire_identity import key_message
from capsuled.wire_sealed import registry_message, secret_message
from capsuled.wire_update import update_key_message, update_message, update_status_then
from capsuled.wire_volume import snapshot_message, volume_changes, volume_message
from projections.dependencies import waits
from projections.drift import drift
from projections.images import users
from projections.state import Image, Machine, Operator, Registry, Secret, Slots, UpdateKey, Volume, Workload
from projections.status import status_of
from projections.storage import standing

Change = tuple[str, str, str, str]
"""(op, path, old, new), values as JSON."""
Incarnation = Workload | Volume | Secret
"""What has a uid, by which one is told from another of the same name."""
K = TypeVar("K", str, int)
T = TypeVar("T")
SLOTS = "system/slots"
"""The object that the slots are, of which each machine has one set or none."""
CALLED = "NAME, volume/, image/, key/, secret/, registry/, update-key/ or update/NAME, or system/slots"
"""What an object of a difference is called."""

_PARTS: dict[str, Callable[[Machine], Any]] = {
    "workloads": lambda machine: [workload_message(machine, one) for _, one in sorted(machine.workloads.items())],
    "volumes": lambda machine: [
        volume_message(machine, one, "", None, None) for _, one in sorted(machine.volumes.items())
    ],
    "snapshots": lambda machine: [
        snapshot_message(volume, one, None) for _, volume in sorted(machine.volumes.items()) for one in volume.snapshots
    ],
    "keys": lambda machine: [key_message(one) for one in sorted(machine.operators.values(), key=lambda one: one.seq)],
    "images": lambda machine: [_image_message(machine, name, one) for name, one in sorted(machine.images.items())],
    "secrets": lambda machine: [secret_message(machine, one) for _, one in sorted(machine.secrets.items())],
    "registries": lambda machine: [registry_message(one) for _, one in sorted(machine.registries.items())],
    "update_keys": lambda machine: [update_key_message(one) for one in machine.update_keys.values()],
    "update_status": update_status_then,
    "updates": lambda machine: [update_message(one) for one in machine.updates.values()],
    "differences": lambda machine: [difference_message(one) for one in drift(machine)],
}
"""What an answer has of the machine, by its fields."""


def machine_message(machine: Machine, only: Collection[str] = ()) -> pb.AsOfResponse:
    """Everything that is declared and what had become of it; of all that `only` these fields, if there are any."""
    found = {name: part(machine) for name, part in _PARTS.items() if not only or name in only}
    answer = pb.AsOfResponse(seq=machine.seq, at_unix_ns=machine.at, desired_seq=machine.desired_seq, **found)
    cut_statuses(answer, answer.workloads)
    return answer


def no_part(only: Iterable[str]) -> str:
    """The first of these that is nothing an answer has; empty when each is."""
    return next((name for name in only if name not in _PARTS), "")


def _image_message(machine: Machine, name: str, image: Image) -> image_pb2.Image:
    return image_pb2.Image(
        name=name,
        digest=image.pin.platform_digest,
        index_digest=image.pin.index_digest,
        size_bytes=image.size_bytes,
        created_unix=image.pushed_at // 1_000_000_000,
        used_by=users(machine, image.pin.index_digest),
    )


def changes(before: Machine, after: Machine, name: str = "") -> list[machine_pb2.FieldChange]:
    """What is different, object by object in a stable order, cut to what one answer has room for. `name`: only of this
    one."""
    return cut_changes(
        machine_pb2.FieldChange(name=which, op=op, path=path, old=old, new=new)
        for which, some in _objects(before, after)
        for op, path, old, new in some
        if not name or _is_called(which, name)
    )


def has(machine: Machine, name: str) -> bool:
    """Whether there is something that is called so, as `changes` understands it."""
    called = (
        *machine.workloads,
        *(f"volume/{one}" for one in machine.volumes),
        *(f"image/{one}" for one in machine.images),
        *(_key_name(one) for one in machine.operators.values()),
        *(f"secret/{one}" for one in machine.secrets),
        *(f"registry/{one}" for one in machine.registries),
        *(_update_key_name(one) for one in machine.update_keys.values()),
        *((SLOTS,) if machine.slots != Slots() else ()),
        *(f"update/{one}" for one in machine.updates),
    )
    return any(_is_called(which, name) for which in called)


def _is_called(which: str, name: str) -> bool:
    return name in (which, which.partition("/")[2])


def _key_name(operator: Operator) -> str:
    return f"key/{operator.name or operator.kid}"


def _update_key_name(key: UpdateKey) -> str:
    return f"update-key/{key.name or key.kid}"


def _objects(before: Machine, after: Machine) -> Iterator[tuple[str, list[Change]]]:
    for name, was, now in _pairs(before.workloads, after.workloads):
        details = _detail(before, was), _detail(after, now)
        yield name, [*_another(was, now), *field_changes(was, now), *_changed("status.phase", *details)]
    for name, was_volume, is_volume in _pairs(before.volumes, after.volumes):
        declared = volume_changes(was_volume, is_volume)
        yield f"volume/{name}", [*_another(was_volume, is_volume), *declared, *_volume(was_volume, is_volume)]
    for name, was_image, is_image in _pairs(before.images, after.images):
        digests = [None if one is None else one.pin.platform_digest for one in (was_image, is_image)]
        yield f"image/{name}", _changed("digest", *digests)
    for _, was_key, is_key in _pairs(before.operators, after.operators):
        if known := is_key or was_key:
            yield _key_name(known), _changed("role", _role(was_key), _role(is_key))
    for name, was_secret, is_secret in _pairs(before.secrets, after.secrets):
        yield f"secret/{name}", _secret(was_secret, is_secret)
    for name, was_registry, is_registry in _pairs(before.registries, after.registries):
        yield f"registry/{name}", _registry(was_registry, is_registry)
    for _, was_signer, is_signer in _pairs(before.update_keys, after.update_keys):
        if signer := is_signer or was_signer:
            kids = [None if one is None else one.kid for one in (was_signer, is_signer)]
            yield _update_key_name(signer), _changed("kid", *kids) or _anew(was_signer, is_signer)
    yield SLOTS, _slots(before.slots, after.slots)
    for uid, *_ in _pairs(before.updates, after.updates):
        if not _has_forgotten(before, uid) and not _has_forgotten(after, uid):
            yield f"update/{uid}", _update(before, after, uid)


def _pairs(before: Mapping[K, T], after: Mapping[K, T]) -> Iterator[tuple[K, T | None, T | None]]:
    """Records are frozen: one that is the same object, or equal, has not changed."""
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was is not now:
            yield name, was, now


def _detail(machine: Machine, workload: Workload | None) -> str | None:
    return None if workload is None else str(status_of(workload, waits(machine, workload)).detail)


def _another(was: Incarnation | None, now: Incarnation | None) -> list[Change]:
    """It was deleted and made again under its name: what it held is gone, though it may look the same."""
    return [] if was is None or now is None else _changed("uid", was.uid, now.uid)


def _volume(was: Volume | None, now: Volume | None) -> list[Change]:
    phases = [None if one is None else standing(one)[0] for one in (was, now)]
    labels = [None if one is None else [shot.label for shot in one.snapshots] or None for one in (was, now)]
    return [*_changed("snapshots", *labels), *_changed("status.phase", *phases)]


def _secret(was: Secret | None, now: Secret | None) -> list[Change]:
    """Never its value, and never what stands for that."""
    versions = [None if one is None else one.version for one in (was, now)]
    return [*_another(was, now), *_changed("version", *versions)]


def _registry(was: Registry | None, now: Registry | None) -> list[Change]:
    """That it has another password can be told by nothing but the entry that says so."""
    users = [None if one is None else one.username for one in (was, now)]
    ways = [
        None if one is None else "none" if one.plain_http else "own CA" if one.ca else "system" for one in (was, now)
    ]
    return [*_changed("user", *users), *_changed("tls", *ways)] or _anew(was, now)


def _anew(was: Registry | UpdateKey | None, now: Registry | UpdateKey | None) -> list[Change]:
    """By the entries: what was said again, or taken away and said again, and looks the same."""
    return [] if was is None or now is None else _changed("entry", was.seq, now.seq)


def _slots(was: Slots, now: Slots) -> list[Change]:
    """What is not known yet is not there."""
    fields = ("active", "default", "tentative", "release")
    return [
        change for name in fields for change in _changed(name, getattr(was, name) or None, getattr(now, name) or None)
    ]


def _has_forgotten(machine: Machine, uid: int) -> bool:
    """The state keeps the last updates only: one that it has no more has not changed by that."""
    return uid <= machine.seq and uid not in machine.updates


def _update(before: Machine, after: Machine, uid: int) -> list[Change]:
    was, now = before.updates.get(uid), after.updates.get(uid)
    fields = ("kind", "slot", "version", "commit", "phase", "cause", "message")
    return [
        change
        for name in fields
        for change in _changed(name, getattr(was, name, None) or None, getattr(now, name, None) or None)
    ]


def _role(operator: Operator | None) -> str | None:
    return None if operator is None else operator.role


def _changed(path: str, was: object, now: object) -> list[Change]:
    if was == now:
        return []
    op = "add" if was is None else "remove" if now is None else "change"
    old, new = ("" if one is None else json.dumps(one, ensure_ascii=False) for one in (was, now))
    return [(op, path, old, new)]
