"""What the fields of a manifest are called: by every name they go by, and what was meant by one that is none."""

from collections.abc import Container
from typing import Any

from google.protobuf.descriptor import FieldDescriptor as Field

from capsule.v1 import volume_pb2
from capsule.v1 import workload_pb2 as pb
from projections.manifest import written

OUTPUT_ONLY = frozenset({"status", "uid", "revision", "desired_seq", "image_digest"})
"""What `get` prints and only a capsule can say: it is read over."""

VOLUME_OUTPUT_ONLY = frozenset(one.json_name for one in volume_pb2.Volume.DESCRIPTOR.fields) - {"name", "sizeBytes"}
"""The same of `volume get`."""

_SECTIONS = {"container": pb.ContainerSpec.DESCRIPTOR, "microVm": pb.MicroVMSpec.DESCRIPTOR}

_OTHERS = {
    "environment": "env",
    "volumes": "mounts",
    "volumeMounts": "mounts",
    "entrypoint": "command",
    "cmd": "args",
    "healthcheck": "health",
    "network": "networkMode",
    "memory": "resources.memory",
    "mem_limit": "resources.memory",
    "cpus": "resources.cpus",
    "read_only": "readOnlyRoot",
    "shm_size": "shm",
}
"""What other programs call it, and we otherwise."""


_CONTAINERS = "is `kind: Container` with name and container; `capsulectl explain Container`"
_KUBERNETES = {
    "PersistentVolumeClaim": "it is `kind: Volume` with name and size; `capsulectl explain Volume`",
    "PersistentVolume": "it is `kind: Volume` with name and size; `capsulectl explain Volume`",
    "Secret": "it is made by `capsulectl secret create NAME`",
}
"""What is neither a workload nor unknown here."""


def is_quantity(field: Any) -> bool:
    """Whether a number may be written with its unit: bytes and milliseconds."""
    return field.cpp_type in (Field.CPPTYPE_UINT32, Field.CPPTYPE_UINT64) and field.name.endswith(("_bytes", "_ms"))


def short_name(field: Any) -> str:
    """A quantity's name without its unit, which its value must then have: `memory` for memoryBytes."""
    return written(field.json_name)


def names_of(message: Any) -> dict[str, Any]:
    """The fields of a message by every name they go by."""
    known = {name: one for one in message.fields for name in (one.json_name, one.name)}
    return {short_name(one): one for one in message.fields if is_quantity(one)} | known


def enum_prefix(enum: Any) -> str:
    """What all names of an enum begin with: NETWORK_MODE_ for NetworkMode."""
    return str(enum.values_by_number[0].name.removesuffix("UNSPECIFIED"))


def instead(name: str, message: Any) -> str:
    """More on a name that no field of the message has: what was probably meant, where it belongs, or why a microVM has
    none."""
    apart = _apart(name) if message is pb.MicroVMSpec.DESCRIPTOR else ""
    return apart or _elsewhere(name, message) or nearest(name, _meant_by_a_person(message)) or _all_of(message)


def _apart(name: str) -> str:
    """Why a microVM has no such field, where a container has."""
    field = names_of(pb.ContainerSpec.DESCRIPTOR).get(name)
    if field is None:
        return ""
    return " of a microVM: " + (
        "it is always on the bridge" if field.name == "network_mode" else "only a container has it"
    )


def _elsewhere(name: str, message: Any) -> str:
    """Where a manifest does have it: one level further in or out, or under the name that we gave it."""
    if message is pb.Workload.DESCRIPTOR:
        name = _OTHERS.get(name, name)
        sections = [one for one, spec in _SECTIONS.items() if name.partition(".")[0] in names_of(spec)]
        return f": write {name} below {' or '.join(sections)}" if sections else ""
    section = next((one for one, spec in _SECTIONS.items() if spec is message), "")
    if section and name in _OTHERS:
        return f": write {_OTHERS[name]}"
    if section and name in names_of(pb.Workload.DESCRIPTOR):
        return f": write it beside kind, not below {section}"
    return ""


def _meant_by_a_person(message: Any) -> list[str]:
    fields = [one for one in message.fields if one.name not in OUTPUT_ONLY]
    return [short_name(one) if is_quantity(one) else one.json_name for one in fields]


def elsewhere(fields: Container[str], kind: str = "") -> str:
    """Whose file it is, if another program's, by the fields that it begins with; and what it is here."""
    if "apiVersion" in fields:
        return f"this is a manifest of Kubernetes: here {_KUBERNETES.get(kind, f'it {_CONTAINERS}')}"
    if "services" in fields and not kind:
        return f"this is a file of Compose: here each service {_CONTAINERS}"
    if "$schema" in fields and not kind:
        return "this is a JSON Schema and no manifest: keep it somewhere else"
    return ""


def nearest(name: str, known: list[str]) -> str:
    """The question whether one of these was meant; empty when none is near."""
    import difflib

    close = difflib.get_close_matches(name, known, 1)
    return f": do you mean {close[0]}?" if close else ""


def _all_of(message: Any) -> str:
    """What there is instead: named, or where that would be a page, the command that explains it."""
    kinds = {"Workload": "Container", "ContainerSpec": "Container", "MicroVMSpec": "MicroVM"}
    if message.name in kinds:
        return f": `capsulectl explain {kinds[message.name]}` lists them"
    return f": there are {', '.join(_meant_by_a_person(message))}"
