"""A call's arguments as they may stand in the journal: paths of what was set, and values only of what is no secret.

Numbers, flags and enums are shown; text only in fields that are names. Bytes are counted. What stands in nested
messages is named by its path alone: an accepted declaration stands beside the call in full, sealed.
"""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor

PATHS_MAX = 64
TEXT_CHARS = 128
NAMES = frozenset({"name", "kid", "ref", "target_disk", "next_slot", "operator_name"})
"""Text fields whose values are names and never secrets."""

_DEPTH = 4


def arguments_of(request: Any) -> tuple[tuple[str, str], ...]:
    """(path, value) for everything that is set, in field order, at most PATHS_MAX; the value is empty if not shown."""
    found: list[tuple[str, str]] = []
    _collect(request, "", 0, found)
    return tuple(found)


def _collect(message: Any, prefix: str, depth: int, found: list[tuple[str, str]]) -> None:
    for field, value in message.ListFields():
        if len(found) >= PATHS_MAX:
            return
        path = prefix + field.name
        nested = field.type == FieldDescriptor.TYPE_MESSAGE and not field.message_type.GetOptions().map_entry
        if not nested:
            found.append((path, _shown(field, value) if depth == 0 else ""))
        elif depth < _DEPTH:
            for one in value if field.is_repeated else (value,):
                _collect(one, f"{path}.", depth + 1, found)


def _shown(field: Any, value: Any) -> str:
    if field.is_repeated:
        return f"{len(value)} items"
    match field.type:
        case FieldDescriptor.TYPE_STRING:
            return value[:TEXT_CHARS] if field.name in NAMES else ""
        case FieldDescriptor.TYPE_BYTES:
            return f"{len(value)} bytes"
        case FieldDescriptor.TYPE_BOOL:
            return "true" if value else "false"
        case FieldDescriptor.TYPE_ENUM:
            known = field.enum_type.values_by_number.get(value)
            return str(value) if known is None else known.name
        case _:
            return str(value)
