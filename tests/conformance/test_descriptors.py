"""This project's descriptors against the contract's table: nothing renamed, renumbered or retyped."""

import importlib

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, ServiceDescriptorProto

from tests.conformance.table import PACKAGE, load

CONTRACT = load()
OURS_FROM = 100


def ours(file: str) -> FileDescriptorProto:
    module = importlib.import_module(file.removesuffix(".proto").replace("/", ".") + "_pb2")
    found = FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(found)
    return found


def described(message: DescriptorProto) -> dict[str, tuple[object, ...]]:
    """Each field as (number, type, label, type name, oneof), map entries by their own fields."""
    entries = {one.name: one for one in message.nested_type if one.options.map_entry}
    found: dict[str, tuple[object, ...]] = {}
    for field in message.field:
        oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
        entry = entries.get(field.type_name.rpartition(".")[2])
        kind = field.type_name if entry is None else tuple((one.number, one.type) for one in entry.field)
        found[field.name] = (field.number, field.type, field.label, kind, oneof)
    return found


def methods(service: ServiceDescriptorProto) -> dict[str, tuple[object, ...]]:
    return {
        one.name: (one.input_type, one.output_type, one.client_streaming, one.server_streaming)
        for one in service.method
    }


def test_the_table_is_read_whole() -> None:
    assert len(CONTRACT.files) == 6 and len(CONTRACT.methods) == 30
    assert sum(len(file.message_type) for file in CONTRACT.files.values()) == 72
    assert sum(len(file.enum_type) for file in CONTRACT.files.values()) == 6


@pytest.mark.parametrize("name", CONTRACT.files)
def test_messages_are_the_contracts_and_additions_begin_at_100(name: str) -> None:
    theirs, mine = CONTRACT.files[name], ours(name)
    assert mine.package == PACKAGE
    messages = {one.name: one for one in mine.message_type}
    for message in theirs.message_type:
        wanted, found = described(message), described(messages[message.name])
        assert {field: found[field] for field in wanted} == wanted, message.name
        added = {field: shape for field, shape in found.items() if field not in wanted}
        assert all(isinstance(shape[0], int) and shape[0] >= OURS_FROM for shape in added.values()), (
            message.name,
            added,
        )


@pytest.mark.parametrize("name", CONTRACT.files)
def test_services_have_the_contracts_methods_and_no_other(name: str) -> None:
    theirs, mine = CONTRACT.files[name], ours(name)
    services = {one.name: methods(one) for one in mine.service}
    for service in theirs.service:
        assert services[service.name] == methods(service), service.name


@pytest.mark.parametrize("name", CONTRACT.files)
def test_enum_values_are_the_contracts_and_additions_begin_at_100(name: str) -> None:
    theirs, mine = CONTRACT.files[name], ours(name)
    enums = {one.name: {value.name: value.number for value in one.value} for one in mine.enum_type}
    for enum in theirs.enum_type:
        wanted = {value.name: value.number for value in enum.value}
        found = enums[enum.name]
        assert {value: found[value] for value in wanted} == wanted, enum.name
        assert all(number >= OURS_FROM for value, number in found.items() if value not in wanted), enum.name
