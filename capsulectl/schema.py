"""`capsulectl schema` and `capsulectl explain`: the manifests, from the very descriptors they are parsed with."""

import json
from typing import Annotated, Any

from cyclopts import Parameter
from google.protobuf.descriptor import FieldDescriptor as Field

from capsule.v1 import workload_pb2 as pb
from capsulectl.errors import USAGE, Failure
from capsulectl.field_names import OUTPUT_ONLY, enum_prefix, is_quantity, names_of, short_name
from capsulectl.fields import FIELDS, KINDS
from capsulectl.quantities import DURATION_PATTERN, SIZE_PATTERN
from capsulectl.short_forms import SHORT


def schema() -> None:
    """Print the JSON Schema of manifests, for editors.

    Example: capsulectl schema > capsule.schema.json
    """
    print(json.dumps(json_schema(), indent=2))


def json_schema() -> dict[str, Any]:
    """Draft 2020-12; a document is a Container, a MicroVM or a Volume."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Capsule manifest",
        "oneOf": [_workload("Container", "container"), _workload("MicroVM", "microVm"), _volume()],
    }


def _workload(kind: str, section: str) -> dict[str, Any]:
    other = {"container": "microVm", "microVm": "container"}[section]
    properties = _properties(pb.Workload.DESCRIPTOR, skip=OUTPUT_ONLY | {"kind"})
    del properties[other]
    properties["kind"] = {"const": kind}
    return _object(KINDS[kind], properties, ["name", "kind", section])


def _volume() -> dict[str, Any]:
    properties = {name: {"type": "string", "description": text} for name, text in FIELDS["Volume"].items()}
    properties["kind"] = {"const": "Volume"}
    return _object(KINDS["Volume"], properties, ["name", "kind", "size"])


def _object(description: str, properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _properties(message: Any, skip: frozenset[str] = frozenset()) -> dict[str, Any]:
    texts = FIELDS[message.name]
    properties: dict[str, Any] = {}
    for field in message.fields:
        if field.name in skip:
            continue
        text = {"description": texts[field.json_name]}
        properties[field.json_name] = {**text, **_type(field)}
        if is_quantity(field):
            properties[short_name(field)] = {**text, **_with_unit(field)}
    return properties


def _with_unit(field: Any) -> dict[str, Any]:
    return {"type": "string", "pattern": SIZE_PATTERN if field.name.endswith("_bytes") else DURATION_PATTERN}


def _type(field: Any) -> dict[str, Any]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {"type": "object", "additionalProperties": {"type": "string"}}
    if field.name == "restart":
        return _restart(field)
    one = _scalar(field)
    if field.is_repeated and field.message_type is not None and field.message_type.name in SHORT:
        one = {"anyOf": [{"type": "string", "examples": [SHORT[field.message_type.name][1]]}, one]}
    return {"type": "array", "items": one} if field.is_repeated else one


def _restart(field: Any) -> dict[str, Any]:
    mode = _scalar(field)
    policy = _properties(field.containing_type.fields_by_name["restart_policy"].message_type)
    mapping = {
        "type": "object",
        "properties": {"mode": mode, **policy},
        "required": ["mode"],
        "additionalProperties": False,
    }
    return {"anyOf": [mode, {"type": "string", "pattern": r"^(always|on-failure):[1-9]\d*$"}, mapping]}


def _scalar(field: Any) -> dict[str, Any]:
    if field.message_type is not None:
        return {"type": "object", "properties": _properties(field.message_type), "additionalProperties": False}
    if field.enum_type is not None:
        prefix = enum_prefix(field.enum_type)
        names = [value.name for value in field.enum_type.values if value.number]
        short = [name.removeprefix(prefix) for name in names]
        return {"enum": [*short, *(name.lower().replace("_", "-") for name in short), *names]}
    if field.cpp_type == Field.CPPTYPE_BOOL:
        return {"type": "boolean"}
    if field.cpp_type == Field.CPPTYPE_STRING:
        return {"type": "string"}
    if field.cpp_type == Field.CPPTYPE_DOUBLE:
        return {"type": "number", "minimum": 0}
    if field.cpp_type in (Field.CPPTYPE_INT32, Field.CPPTYPE_INT64):
        return {"type": "integer"}
    if is_quantity(field):
        return {"anyOf": [{"type": "integer", "minimum": 0}, _with_unit(field)]}
    return {"type": "integer", "minimum": 0}


def field_paths(context: Any) -> list[str]:
    """For the shell's completion: kinds, and behind a dot the fields of what stands before it."""
    path, dot, _ = context.incomplete.rpartition(".")
    kind, *names = path.split(".")
    if not dot:
        return list(KINDS)
    if kind == "Volume":
        return [] if names else [f"Volume.{name}" for name in FIELDS["Volume"]]
    if kind not in KINDS:
        return []
    section = "container" if kind == "Container" else "micro_vm"
    message: Any = pb.Workload.DESCRIPTOR
    inner = [message.fields_by_name[section].message_type]
    for name in names:
        field = next((found for one in (message, *inner) if (found := _field(one, name)) is not None), None)
        if field is None or field.message_type is None or _is_map(field):
            return []
        message, inner = field.message_type, []
    hidden = OUTPUT_ONLY | ({"container", "micro_vm"} - {section}) if inner else ()
    return [f"{path}.{one.json_name}" for own in (message, *inner) for one in own.fields if one.name not in hidden]


def explain(
    path: Annotated[
        str, Parameter(help="A kind, or a field of it: Container.container.restart.", completer=field_paths)
    ],
    /,
) -> None:
    """Explain a kind of manifest, or one of its fields.

    Example: capsulectl explain Container.restart
    """
    kind, *names = path.split(".")
    found = next((known for known in KINDS if known.lower() == kind.lower()), None)
    if found is None:
        raise Failure(f"{kind} is no kind: {', '.join(KINDS)}", USAGE)
    if found == "Volume":
        _explain_volume(names)
        return
    section = "container" if found == "Container" else "micro_vm"
    message: Any = pb.Workload.DESCRIPTOR
    title, text = found, KINDS[found]
    spec = message.fields_by_name[section].message_type
    for name in names:
        # The section may be left out: Container.restart is Container.container.restart.
        owner = next((one for one in (message, spec) if one is not None and _field(one, name) is not None), None)
        if owner is None:
            raise Failure(f"{title} has no field {name}: `capsulectl explain {found}` lists them", USAGE)
        field = _field(owner, name)
        title, text = f"{title}.{field.json_name}", FIELDS[owner.name].get(field.json_name, "Said by the capsule.")
        title = f"{title} ({_describe(field)})"
        message = field.message_type if field.message_type is not None and not _is_map(field) else None
        spec = None
    print(f"{title}\n  {text}")
    if message is not None:
        _list_fields(message, section)


def _explain_volume(names: list[str]) -> None:
    fields = FIELDS["Volume"]
    if names and names[0] not in fields:
        raise Failure(f"Volume has no field {names[0]}: it has {', '.join(fields)}", USAGE)
    chosen = {names[0]: fields[names[0]]} if names else fields
    print(f"Volume\n  {KINDS['Volume']}")
    for name, text in chosen.items():
        print(f"  {name:<20}string     {text}")


def _list_fields(message: Any, section: str) -> None:
    for field in message.fields:
        hidden = OUTPUT_ONLY | ({"container", "micro_vm"} - {section})
        if message is pb.Workload.DESCRIPTOR and field.name in hidden:
            continue
        print(f"  {field.json_name:<20}{_describe(field):<11}{FIELDS[message.name][field.json_name]}")
        if field.name == section:
            for inner in field.message_type.fields:
                print(
                    f"    {inner.json_name:<20}{_describe(inner):<11}{FIELDS[field.message_type.name][inner.json_name]}"
                )


def _field(message: Any, name: str) -> Any:
    return names_of(message).get(name)


def _is_map(field: Any) -> bool:
    return bool(field.message_type.GetOptions().map_entry)


def _describe(field: Any) -> str:
    if field.message_type is not None and _is_map(field):
        return "map"
    if is_quantity(field):
        return "size" if field.name.endswith("_bytes") else "duration"
    word = "object" if field.message_type is not None else _scalar(field).get("type", "enum")
    return f"[{word}]" if field.is_repeated else word
