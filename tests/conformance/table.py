"""The contract's table as descriptors: read from contract.md, without a look at this project's own .proto files."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

TABLE = Path(__file__).with_name("contract.md")
PACKAGE = "capsule.v1"

_METHOD = re.compile(r"- `(\w+)\((stream )?(\w+)\) → (stream )?(\w+)`")
_MESSAGE = re.compile(r"- `(\w+)`: (.+)")
_ENUM = re.compile(r"- enum `(\w+)`: (.+)")
_FIELD = re.compile(r"(\d+) (\w+): (repeated )?([\w<>,]+)(?: \(oneof (\w+)\))?$")
_SCALARS = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "uint32": FieldDescriptorProto.TYPE_UINT32,
    "uint64": FieldDescriptorProto.TYPE_UINT64,
}


@dataclass(frozen=True)
class Method:
    """One method. Requests and responses by message name."""

    service: str
    name: str
    request: str
    response: str
    client_streams: bool
    server_streams: bool

    @property
    def path(self) -> str:
        return f"/{PACKAGE}.{self.service}/{self.name}"


@dataclass
class Contract:
    """The whole table. `files`: one descriptor per .proto file, in the table's order."""

    files: dict[str, FileDescriptorProto] = field(default_factory=dict)
    methods: list[Method] = field(default_factory=list)


def load() -> Contract:
    """Read the table."""
    contract = Contract()
    text = TABLE.read_text()
    enums = set(_ENUM.findall(text) and [name for name, _ in _ENUM.findall(text)])
    file, service = FileDescriptorProto(), ""
    for line in text.splitlines():
        if line.startswith("### `"):
            name = line.strip("#` ")
            file = contract.files[name] = FileDescriptorProto(name=name, package=PACKAGE, syntax="proto3")
        elif line.startswith("**"):
            service = line.strip("*")
            file.service.add(name=service)
        elif found := _METHOD.fullmatch(line):
            method = Method(service, found[1], found[3], found[5], bool(found[2]), bool(found[4]))
            contract.methods.append(method)
            file.service[-1].method.add(
                name=method.name,
                input_type=f".{PACKAGE}.{method.request}",
                output_type=f".{PACKAGE}.{method.response}",
                client_streaming=method.client_streams,
                server_streaming=method.server_streams,
            )
        elif found := _ENUM.fullmatch(line):
            enum = file.enum_type.add(name=found[1])
            for pair in found[2].split(", "):
                value, number = pair.split("=")
                enum.value.add(name=value, number=int(number))
        elif found := _MESSAGE.fullmatch(line):
            _message(file.message_type.add(name=found[1]), found[2], enums)
    return contract


def _message(message: DescriptorProto, text: str, enums: set[str]) -> None:
    oneofs: list[str] = []
    for part in [] if text == "—" else text.split("; "):
        found = _FIELD.fullmatch(part)
        assert found is not None, f"{message.name}: {part}"
        number, name, repeated, kind, oneof = found.groups()
        made = message.field.add(name=name, number=int(number), label=FieldDescriptorProto.LABEL_OPTIONAL)
        if repeated or kind.startswith("map<"):
            made.label = FieldDescriptorProto.LABEL_REPEATED
        if kind.startswith("map<"):
            entry = _map_entry(message, name, kind)
            made.type, made.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{PACKAGE}.{message.name}.{entry}"
        elif kind in _SCALARS:
            made.type = _SCALARS[kind]
        else:
            made.type = FieldDescriptorProto.TYPE_ENUM if kind in enums else FieldDescriptorProto.TYPE_MESSAGE
            made.type_name = f".{PACKAGE}.{kind}"
        if oneof:
            if oneof not in oneofs:
                oneofs.append(oneof)
                message.oneof_decl.add(name=oneof)
            made.oneof_index = oneofs.index(oneof)


def _map_entry(message: DescriptorProto, name: str, kind: str) -> str:
    key, value = kind.removeprefix("map<").removesuffix(">").split(",")
    entry = message.nested_type.add(name="".join(part.title() for part in name.split("_")) + "Entry")
    entry.options.map_entry = True
    for number, (part, of) in enumerate((("key", key), ("value", value)), 1):
        entry.field.add(name=part, number=number, type=_SCALARS[of], label=FieldDescriptorProto.LABEL_OPTIONAL)
    return entry.name
