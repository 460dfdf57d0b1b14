"""What the capsule refuses because of a field is told with its file and line, and nothing else is."""

from pathlib import Path
from typing import Any

import pytest

from capsulectl.errors import USAGE, Failure, NotLetIn
from capsulectl.manifests import load
from capsulectl.places import Places

WEB = """name: web
kind: Container
container:
  image: x
  ports:
  - {containerPort: 80}
  - containerPort: 81
    hostPort: 8081
  resources:
    memory: 1Mi
  secret_env: {MY_PASSWORD: db}
  health: &health
    exec: [x]
    <<: {interval: 1s}
"""
DB = """---
name: db
kind: MicroVM
microVm:
  image: x
  env: {A: b}
---
name: data
kind: Volume
size: 16Mi
"""


class Refused(Exception):
    """As gRPC raises it."""

    def __init__(self, field: str, message: str) -> None:
        self._field, self._message = field, message

    def trailing_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("capsule-reason", "BAD"), *([("capsule-fields", self._field)] if self._field else []))

    def details(self) -> str:
        return self._message


def told(tmp_path: Path, text: str, error: BaseException | None, kind: type[Failure] = Failure) -> Any:
    (tmp_path / "m.yaml").write_text(text)
    places = Places()
    load([str(tmp_path / "m.yaml")], places=places)
    with pytest.raises(kind) as caught, places.told():
        raise kind("no", USAGE) from error
    assert caught.value.code == USAGE and type(caught.value) is kind
    return caught.value.message.replace(f"{tmp_path}/", "")


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("name", "m.yaml:1: no"),
        ("container.image", "m.yaml:4: no"),
        ("container.ports", "m.yaml:5: no"),
        ("container.ports.hostPort", "m.yaml:5: no"),
        ("container.ports[0].containerPort", "m.yaml:6: no"),
        ("container.ports[1].hostPort", "m.yaml:8: no"),
        ("container.ports[7].hostPort", "m.yaml:5: no"),
        ("container.resources.memoryBytes", "m.yaml:10: no"),
        ("container.resources.memory", "m.yaml:10: no"),
        ("container.secretEnv.MY_PASSWORD", "m.yaml:11: no"),
        ("container.health.interval", "m.yaml:14: no"),
        ("container.user,container.image", "m.yaml:3: no"),
        ("expect_seq", "no"),
        ("", "no"),
    ],
)
def test_a_field_is_found_or_what_it_would_be_in(tmp_path: Path, field: str, says: str) -> None:
    assert told(tmp_path, WEB, Refused(field, "of whom this is need not be said")) == says


@pytest.mark.parametrize(
    ("field", "message", "says"),
    [
        ("container.image", "web: is none", "m.yaml:4: no"),
        ("microVm.env.A", "db: is none", "m.yaml:20: no"),
        ("container.ports.hostPort", "web wants host port 80/tcp, which db has", "m.yaml:5: no"),
        ("size", "volume data: a size is from 16MiB to 1PiB", "m.yaml:24: no"),
        ("size", "volume other: a size is from 16MiB to 1PiB", "no"),
        ("container.image", "db: has no such section", "no"),
        ("container.image", "webs: is none", "no"),
    ],
)
def test_of_several_it_is_the_one_that_the_message_begins_with(
    tmp_path: Path, field: str, message: str, says: str
) -> None:
    assert told(tmp_path, WEB + DB, Refused(field, message)) == says


def test_what_is_no_refusal_of_a_field_is_told_as_it_is(tmp_path: Path) -> None:
    assert told(tmp_path, WEB, None) == told(tmp_path, WEB, ValueError("of ours")) == "no"
    assert told(tmp_path, WEB, Refused("", "your role does not suffice"), NotLetIn) == "no"
