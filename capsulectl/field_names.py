"""What the fields of a manifest are called: by every name they go by, and what was meant by one that is none."""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor as Field

from capsule.v1 import workload_pb2 as pb
from projections.manifest import written

OUTPUT_ONLY = frozenset({"status", "uid", "revision", "desired_seq", "image_digest"})
"""What `get` prints and only a capsule can say: it is read over."""


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
    """More on a name that no field of the message has: what was probably meant, or why a microVM has none."""
    apart = _apart(name) if message is pb.MicroVMSpec.DESCRIPTOR else ""
    return apart or _nearest(name, [one.json_name for one in message.fields])


def _apart(name: str) -> str:
    """Why a microVM has no such field, where a container has."""
    field = names_of(pb.ContainerSpec.DESCRIPTOR).get(name)
    if field is None:
        return ""
    return " of a microVM: " + (
        "it is always on the bridge" if field.name == "network_mode" else "only a container has it"
    )


def _nearest(name: str, known: list[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, 1)
    return f": do you mean {close[0]}?" if close else ""
