"""What a message holds, by its fields' paths, whatever message it is: what nobody here knows, or can use. Pure."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf.unknown_fields import UnknownFieldSet

from projections.manifest import written
from projections.refusals import Refusal, lacks

DECLARATION = "capsule.v1.Workload"
"""It is looked into by whoever reads it, from its own top on: its paths begin there, and so does what is read over."""
OUTPUT_ONLY = frozenset({"status"})
"""Fields of the whole message that only the capsule itself says: what a client says there is read over."""

BEGINNINGS = frozenset({"config", "metadata"})
"""Fields of a stream's message that say what it is about: they come once, first."""


def strange_field(message: Any) -> str:
    """The first field, as `path.number`, that only a newer client knows; empty when there is none."""
    for path, part in _parts(message, ""):
        unknown = UnknownFieldSet(part)
        if len(unknown):
            return _join(path, str(unknown[0].field_number))
    return ""


def unknown_field(path: str) -> Refusal:
    """What a newer client says is never dropped: it might be that nothing is to be done."""
    return lacks(
        "UNKNOWN_FIELD",
        f"this release knows no field {path}: a newer client sent it. Leave it out, or update the capsule",
        path.rpartition(".")[0] or path,
    )


def begins(message: Any) -> str:
    """Of a stream's message, the field that only its first one has; empty where this has none."""
    return next((name for name in _beginnings(message.DESCRIPTOR) if message.HasField(name)), "")


@cache
def _beginnings(message_type: Any) -> tuple[str, ...]:
    return tuple(one.name for one in message_type.fields if one.name in BEGINNINGS and one.containing_oneof)


def field_with_nul(message: Any) -> str:
    """The first field, at whatever depth, that holds a text with a NUL byte; empty when none does. What stands in a
    mapping goes by the mapping's name: it may be a key that is wrong."""
    for path, part in _parts(message, ""):
        for field, value in _said(part, path):
            name, is_map, _ = _shape(field)
            if is_map:
                spoiled = any(_is_spoiled(text) for entry in value.items() for text in entry)
            elif field.is_repeated:
                numbers = [number for number, one in enumerate(value) if _is_spoiled(one)]
                name, spoiled = f"{name}[{numbers[0] if numbers else 0}]", bool(numbers)
            else:
                spoiled = _is_spoiled(value)
            if spoiled:
                return _join(path, name)
    return ""


def _is_spoiled(value: Any) -> bool:
    return isinstance(value, str) and "\0" in value


def _parts(message: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The message and every message in it, each with its path."""
    yield path, message
    for field, is_repeated, name in _holders(message.DESCRIPTOR):
        if not path and field in OUTPUT_ONLY:
            continue
        if is_repeated:
            for number, one in enumerate(getattr(message, field)):
                yield from _parts(one, f"{_join(path, name)}[{number}]")
        elif message.HasField(field):
            yield from _parts(getattr(message, field), _join(path, name))


@cache
def _holders(message_type: Any) -> tuple[tuple[str, bool, str], ...]:
    """Of a type's fields those that hold messages which are looked into, in the order of their numbers: each with
    whether it is repeated, and as it is written. Others are not even read, as those of a stream may be large."""
    fields = sorted(message_type.fields, key=lambda one: one.number)
    return tuple((one.name, one.is_repeated, _shape(one)[0]) for one in fields if _shape(one)[2])


def _said(message: Any, path: str) -> Iterator[tuple[Any, Any]]:
    return ((field, value) for field, value in message.ListFields() if path or field.name not in OUTPUT_ONLY)


@cache
def _shape(field: Any) -> tuple[str, bool, bool]:
    """How a field is written, whether it is a mapping, and whether it holds messages that are looked into: the same for
    all that come."""
    kind = field.message_type
    is_map = kind is not None and bool(kind.GetOptions().map_entry)
    return written(field.json_name), is_map, kind is not None and not is_map and kind.full_name != DECLARATION


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
