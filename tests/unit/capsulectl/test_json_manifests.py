"""JSON says in a manifest what it says everywhere else, and is told by its lines; what YAML's tags say is no other."""

import json
from pathlib import Path

import pytest

from capsule.v1 import workload_pb2 as pb
from capsulectl.errors import USAGE, Failure
from capsulectl.json_nodes import json_node
from capsulectl.manifests import load

TEXTS = ["😀", "a\x85b \u2028 c", "\u2029 ", "\ufffe", "\x7f", "\t\n", "yes", "<<", "\\/", ""]


def loaded(tmp_path: Path, text: str, name: str = "m.json") -> pb.Workload:
    path = tmp_path / name
    path.write_text(text, newline="")
    workloads, _ = load([str(path)])
    return workloads[0]


def refused(tmp_path: Path, text: str, name: str = "m.json") -> str:
    with pytest.raises(Failure) as failure:
        loaded(tmp_path, text, name)
    assert failure.value.code == USAGE
    return failure.value.message.replace(f"{tmp_path}/", "")


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("indent", [None, "\t", 1])
def test_a_text_arrives_as_it_was_written(tmp_path: Path, ascii_only: bool, indent: str | int | None) -> None:
    spec = {"image": "x", "args": TEXTS, "networkMode": "NONE", "privileged": False, "env": {}, "user": None}
    manifest = {"name": "a", "kind": "Container", "container": spec, "labels": {"<<": "x"}}
    text = json.dumps(manifest, ensure_ascii=ascii_only, indent=indent)
    for one in (text, f"\ufeff{text}\n"):
        workload = loaded(tmp_path, one)
        assert list(workload.container.args) == TEXTS and dict(workload.labels) == {"<<": "x"}


def test_what_is_wrong_has_its_line(tmp_path: Path) -> None:
    manifest = '{"name": "a",\n "kind": "Container",\n "container": {"image": "x",\n  "pot": "\\ud83d\\ude00"}}'
    assert refused(tmp_path, manifest).startswith("m.json:4: container.pot: unknown field")
    twice = '{"name": "a",\n "kind": "Container",\n "name":\n "b"}'
    assert refused(tmp_path, twice) == "m.json:3: name: given twice"


@pytest.mark.parametrize(
    "text", ['{"a": "\\ud83d"}', "{a: 1}", "[1,]", "[01]", '{"a" 1}', "{} {}", "[" * 9_000, '["\n"]', "[NaN]", "[", "1"]
)
def test_what_is_no_json_is_left_to_yaml(text: str) -> None:
    assert json_node(text) is None


@pytest.mark.parametrize(
    ("value", "tag"), [("!!binary aGVsbG8=", "!!binary"), ("!secret b", "!secret"), ("{b: !!set {c}}", "!!set")]
)
def test_a_tag_that_would_be_ignored_is_refused(tmp_path: Path, value: str, tag: str) -> None:
    text = f"name: a\nkind: Container\ncontainer:\n  image: x\n  user: {value}\n"
    said = f"m.yaml:5: the tag {tag} is none that is read here: write the value itself"
    assert refused(tmp_path, text, "m.yaml") == said


def test_tags_that_say_what_is_there_are_read(tmp_path: Path) -> None:
    text = "name: !!str a\nkind: Container\nlabels: {day: 2026-12-01, is: =}\ncontainer: !!map {image: x}\n"
    assert dict(loaded(tmp_path, text, "m.yaml").labels) == {"day": "2026-12-01", "is": "="}
    text = "name: a\nkind: Container\ncontainer: {image: x, privileged: !!bool maybe}\n"
    assert refused(tmp_path, text, "m.yaml") == "m.yaml:3: container.privileged: must be true or false"
