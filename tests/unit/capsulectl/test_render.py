"""What is printed as data: the same data for who reads it, and nothing that a terminal would obey."""

import json

import pytest
import yaml

from capsule.v1 import history_pb2
from capsulectl import history
from capsulectl.render import write, write_line

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
