"""What is printed as data: the same data for who reads it, and nothing that a terminal would obey."""

import json
from typing import Any

import pytest
import yaml
from google.protobuf import message_factory

from capsule.v1 import (
    capsule_pb2,
    history_pb2,
    image_cache_pb2,
    image_pb2,
    machine_pb2,
    move_pb2,
    retention_pb2,
    secret_pb2,
    volume_pb2,
    workload_pb2,
)
from capsulectl import history, render
from capsulectl.render import plain, say, write, write_line

CONTROLS = "".join(map(chr, (*range(0x20), *range(0x7F, 0xA0))))
DATA = {f"key{CONTROLS}": [f"zażółć {CONTROLS} ➤"]}


def obeyed(text: str) -> set[str]:
    return set(CONTROLS) & set(text) - {"\n"}


def test_json_moves_no_cursor_and_is_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    write(DATA, "json")
    write_line(DATA)
    said = capsys.readouterr().out
    assert not obeyed(said) and "zażółć" in said and "\\u009b" in said
    *pages, line = said.splitlines()
    assert json.loads("\n".join(pages)) == json.loads(line) == DATA


def test_yaml_moves_no_cursor_and_is_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    write(DATA, "yaml")
    said = capsys.readouterr().out
    assert not obeyed(said) and yaml.safe_load(said) == DATA


def test_what_an_event_says_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    history._print_entry(history_pb2.HistoryEntry(seq=1, body_json=json.dumps(DATA)))
    assert not obeyed(capsys.readouterr().out)


def test_what_is_false_or_none_at_all_is_an_answer() -> None:
    status = workload_pb2.WorkloadStatus(conditions=[workload_pb2.WorkloadCondition(type="Stable", reason="CrashLoop")])
    told = plain(workload_pb2.Workload(name="web", status=status))["status"]
    assert told["conditions"] == [{"type": "Stable", "met": False, "reason": "CrashLoop"}]
    counts = ("restartCount", "endsInARow", "oomKills")
    assert [told[name] for name in counts] == [0, 0, 0] and told["oomKilled"] is False
    assert "pid" not in told and "startedAtUnixNs" not in told, "no process and no time is none, and not 0"
    volume = plain(volume_pb2.Volume(name="data"))
    assert volume["snapshots"] == 0 and volume["mountedBy"] == [] and "fsUsedBytes" not in volume


def test_a_manifest_says_what_was_declared_and_no_more() -> None:
    mount = workload_pb2.VolumeMount(volume_name="data", mount_path="/data")
    for spec in (workload_pb2.ContainerSpec(mounts=[mount]), workload_pb2.MicroVMSpec(mounts=[mount])):
        assert plain(spec) == {"mounts": [{"volumeName": "data", "mountPath": "/data"}]}


def test_of_no_message_in_a_manifest_anything_is_added() -> None:
    left: list[Any] = [workload_pb2.ContainerSpec.DESCRIPTOR, workload_pb2.MicroVMSpec.DESCRIPTOR]
    seen = set()
    while left:
        message = left.pop()
        if message.full_name not in seen:
            seen.add(message.full_name)
            left += [one.message_type for one in message.fields if one.message_type is not None]
            assert plain(message_factory.GetMessageClass(message)()) == {}, message.name


def test_every_field_whose_nothing_is_told_is_there() -> None:
    modules = (history_pb2, image_pb2, image_cache_pb2, machine_pb2, move_pb2, retention_pb2, secret_pb2, volume_pb2,
               capsule_pb2, workload_pb2)  # fmt: skip
    known = {
        f"{name}.{one.name}"
        for module in modules
        for name, message in module.DESCRIPTOR.message_types_by_name.items()
        for one in message.fields
    }
    assert known >= render._COUNTED | render._LISTED


def test_what_is_said_has_its_lines_and_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    say("first: \x1b[2J\x9b1m\rgone\nsecond")
    assert capsys.readouterr().err == "first: \\x1b[2J\\x9b1m\\x0dgone\nsecond\n"
