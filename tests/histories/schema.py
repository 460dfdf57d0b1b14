"""The schema lock: what stood in a release's entries, as data, and what may become of it in later ones.

    python -m tests.histories.schema RELEASE        writes schema-RELEASE.json, and refuses to replace one
    python -m tests.histories.schema NAME           of a recorded history: what stands in its entries, and no more

An old entry must mean for ever what it meant when it was written. So a field may be added with a default, a choice may
get another value, and everything else is a new VERSION with an upcaster.
"""

import inspect
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec
from msgspec.inspect import (
    BoolType,
    BytesType,
    IntType,
    LiteralType,
    NoneType,
    StrType,
    StructType,
    UnionType,
    VarTupleType,
    type_info,
)

from journal import specs
from journal.entry import Actor, Header
from journal.events import EVENT_TYPES, type_of
from projections import state
from projections.views import unlisted
from tests.histories.recorded import events_of

HERE = Path(__file__).parent
Schema = dict[str, Any]
REQUIRED = "(required)"
VIEW = 1

_SCALARS = {IntType: "int", StrType: "str", BoolType: "bool", BytesType: "bytes", NoneType: "none"}


def schema() -> Schema:
    """What this release writes: events with their versions and fields, the records in them, the header, view 1."""
    records: dict[str, Schema] = {}
    events = {
        type_of(kind): {"version": kind.VERSION, "effect": kind.EFFECT, "fields": _fields(kind, records)}
        for kind in EVENT_TYPES
    }
    made = {
        "events": events,
        "records": dict(sorted(records.items())),
        "header": list(Header.__struct_fields__),
        "actor": list(Actor.__struct_fields__),
        "view": {kind.__name__: _viewed(kind) for kind in _state_records()},
    }
    plain: Schema = msgspec.json.decode(msgspec.json.encode(made))  # as a lock is read: lists, no tuples
    return plain


def told_in(history: str) -> Schema:
    """The same of what a recorded history tells: what nobody wrote yet may still become something else."""
    whole, told = schema(), {header.type for header, _ in events_of(history)}
    events = {tag: event for tag, event in whole["events"].items() if tag in told}
    used = set[str]().union(*(_records_in(whole, event["fields"]) for event in events.values()))
    records = {name: fields for name, fields in whole["records"].items() if name in used}
    return {**whole, "events": events, "records": records, "view": {}}


def _fields(kind: type[msgspec.Struct], records: dict[str, Schema]) -> Schema:
    info = type_info(kind)
    assert isinstance(info, StructType)
    return {
        field.name: {
            "type": _type(field.type, records),
            "default": REQUIRED if field.required else msgspec.to_builtins(field.default),
        }
        for field in info.fields
    }


def _type(info: Any, records: dict[str, Schema]) -> Any:
    for kind, name in _SCALARS.items():
        if isinstance(info, kind):
            return name
    match info:
        case LiteralType(values=values):
            return {"one of": sorted(values)}
        case VarTupleType(item_type=item):
            return {"list of": _type(item, records)}
        case msgspec.inspect.TupleType(item_types=items):
            return {"tuple of": [_type(item, records) for item in items]}
        case UnionType(types=kinds):
            return {"any of": sorted((_type(kind, records) for kind in kinds), key=str)}
        case StructType(cls=cls):
            if cls.__name__ not in records:
                records[cls.__name__] = {}
                records[cls.__name__] = _fields(cls, records)
            return {"record": cls.__name__}
        case _:
            raise AssertionError(f"{info} cannot be locked yet: teach tests/histories/schema.py")


def _state_records() -> list[type[msgspec.Struct]]:
    return [
        kind
        for module in (specs, state)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, msgspec.Struct) and kind.__module__ == module.__name__ and kind is not state.Machine
    ]


def _viewed(kind: type[msgspec.Struct]) -> Schema:
    hidden = {one.partition(".")[2] for one in unlisted([kind], VIEW)}
    return {
        field.name: REQUIRED if field.required else msgspec.to_builtins(field.default)
        for field in msgspec.structs.fields(kind)
        if field.name not in hidden
    }


# --- what may become of it ---------------------------------------------------------------------------------------


def complaints(lock: Schema, now: Schema, upcasters: Collection[tuple[str, int]]) -> list[str]:
    """What a release did to the entries of the release of `lock`, and what to do instead; empty when all is well."""
    found: list[str] = []
    changed_records = {
        name: _changes(f"record {name}", fields, now["records"].get(name, {}))
        for name, fields in lock["records"].items()
    }
    for tag, old in lock["events"].items():
        new = now["events"].get(tag)
        if new is None:
            found.append(
                f"{tag} is gone: old journals hold it. Put its class back into journal/events.py; tags are never removed"
            )
            continue
        missing = [v for v in range(old["version"], new["version"]) if (tag, v) not in upcasters]
        found += [
            f"{tag} is version {new['version']}, and nothing reads version {version}: add UPCASTERS[{tag!r}, {version}]"
            for version in missing
        ]
        if new["version"] < old["version"]:
            found.append(f"{tag} went back to version {new['version']}: versions only rise")
        if new["version"] > old["version"]:
            continue  # the upcasters answer for the rest
        if new["effect"] != old["effect"]:
            found.append(f"{tag} was `{old['effect']}` and is `{new['effect']}`: raise its VERSION and add an upcaster")
        wrong = _changes(tag, old["fields"], new["fields"])
        for name in sorted(_records_in(lock, old["fields"])):
            wrong += [f"{tag}: {one}" for one in changed_records[name]]
        found += [f"{one}: raise {tag}'s VERSION and add an upcaster (journal/codec.py)" for one in wrong]
    for part in ("header", "actor"):
        if now[part][: len(lock[part])] != lock[part]:
            found.append(f"the {part}'s fields changed their places: they are an array, so only append to them")
    for kind, fields in lock["view"].items():
        for name, default in fields.items():
            if now["view"].get(kind, {}).get(name, "(gone)") != default:
                found.append(
                    f"{kind}.{name} stands in view {VIEW} with default {default!r}, which is not its default any more: "
                    "defaults are left out of hashes, so old hashes would change. Keep it, and add a new field"
                )
    return found


def _changes(owner: str, old: Schema, new: Schema) -> list[str]:
    found = [f"{owner}.{name} is gone" for name in old if name not in new]
    for name in old.keys() & new.keys():
        if not _widened(old[name]["type"], new[name]["type"]):
            found.append(f"{owner}.{name} was {old[name]['type']} and is {new[name]['type']}")
        if old[name]["default"] != new[name]["default"]:
            found.append(f"{owner}.{name} had the default {old[name]['default']!r} and has {new[name]['default']!r}")
    found += [
        f"{owner}.{name} is new and has no default"
        for name in new.keys() - old.keys()
        if new[name]["default"] == REQUIRED
    ]
    return sorted(found)


def _widened(old: Any, new: Any) -> bool:
    """Whether everything that could be read as `old` can be read as `new`."""
    if old == new:
        return True
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        (word,) = old
        if word in ("one of", "any of"):
            return all(one in new[word] for one in old[word])
        if word == "list of":
            return _widened(old[word], new[word])
    return isinstance(new, dict) and old in new.get("any of", ())


def _records_in(lock: Schema, fields: Schema) -> set[str]:
    found: set[str] = set()
    waiting = [field["type"] for field in fields.values()]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, list):
            waiting.extend(kind)
        elif isinstance(kind, dict):
            name = kind.get("record")
            if name is not None and name not in found:
                found.add(name)
                waiting.extend(field["type"] for field in lock["records"][name].values())
            waiting.extend(value for word, value in kind.items() if word not in ("record", "one of"))
    return found


def locks() -> tuple[str, ...]:
    """Every release whose schema is kept."""
    return tuple(sorted(path.stem.removeprefix("schema-") for path in HERE.glob("schema-*.json")))


def lock_of(release: str) -> Schema:
    """The schema of a release."""
    found: Schema = msgspec.json.decode((HERE / f"schema-{release}.json").read_bytes())
    return found


def main() -> None:
    """Write the schema of a release down, once."""
    path = HERE / f"schema-{sys.argv[1]}.json"
    if path.exists():
        raise SystemExit(f"{path.name} is there already: what a release wrote does not change any more")
    written = told_in(sys.argv[1]) if "-" in sys.argv[1] else schema()
    path.write_bytes(msgspec.json.format(msgspec.json.encode(written, order="deterministic")) + b"\n")
    print(path)


if __name__ == "__main__":
    main()
