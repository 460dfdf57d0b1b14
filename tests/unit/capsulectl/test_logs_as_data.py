"""A workload's log as JSON: one object a line, however the lines come."""

import json

import pytest

from capsule.v1 import workload_pb2 as pb
from capsulectl.log_lines import LINE_BYTES, Records

AT_NS = 1_700_000_000_250_000_000


def chunk(data: bytes, **more: object) -> pb.WorkloadLogChunk:
    return pb.WorkloadLogChunk(data=data, at_unix_ns=AT_NS, **more)  # type: ignore[arg-type]


def told(capsys: pytest.CaptureFixture[str], *chunks: pb.WorkloadLogChunk, serial: bool = False) -> list[list[str]]:
    records = Records("web", serial)
    for one in chunks:
        records.print(one)
    records.end()
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all((one["workload"], one["time"][19:23]) == ("web", ".250") for one in found)
    return [[one["stream"], one["text"]] for one in found]


def test_each_line_is_an_object_of_its_stream(capsys: pytest.CaptureFixture[str]) -> None:
    chunks = chunk(b"one\ntwo\n\n"), chunk(b"bad\n", stderr=True)
    assert told(capsys, *chunks) == [["stdout", "one"], ["stdout", "two"], ["stdout", ""], ["stderr", "bad"]]
    assert told(capsys, chunk(b"boots\r\n"), serial=True) == [["serial", "boots\r"]]


def test_a_line_in_pieces_is_one_line_also_where_its_letters_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    letter = "é".encode()
    runs = chunk(b"cut off", run=1), chunk(b"anew\n", run=2)
    assert told(capsys, *runs) == [["stdout", "cut off"], ["stdout", "anew"]]
    pieces = chunk(b"caf" + letter[:1]), chunk(b"bad", stderr=True), chunk(letter[1:] + b"\nend")
    assert told(capsys, *pieces) == [["stdout", "café"], ["stderr", "bad"], ["stdout", "end"]]


def test_what_is_no_text_or_moves_the_cursor_is_json_still(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, chunk(b"\xff\x1b[2J\n")) == [["stdout", "\ufffd\x1b[2J"]]


def test_a_time_that_is_only_the_latest_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    Records("web", False).print(chunk(b"found\n", late=True))
    assert json.loads(capsys.readouterr().out)["late"] is True


def test_a_line_whose_time_nobody_noted_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    Records("vm", True).print(pb.WorkloadLogChunk(data=b"boots\n"))
    assert json.loads(capsys.readouterr().out) == {"workload": "vm", "stream": "serial", "text": "boots"}


def test_behind_what_is_missing_another_object_begins(capsys: pytest.CaptureFixture[str]) -> None:
    gap = chunk(b"[capsule] 7 bytes are gone\n", dropped_bytes=7)
    assert told(capsys, chunk(b"its front"), gap, chunk(b"whole\n")) == [["stdout", "its front"], ["stdout", "whole"]]


def test_a_line_without_an_end_is_told_in_pieces(capsys: pytest.CaptureFixture[str]) -> None:
    records = Records("web", False)
    records.print(chunk(b"x" * LINE_BYTES))
    assert capsys.readouterr().out == ""
    records.print(chunk(b"yy"))
    assert len(json.loads(capsys.readouterr().out)["text"]) == LINE_BYTES
    records.end()
    assert json.loads(capsys.readouterr().out)["text"] == "yy"
