"""What the shell is offered where no machine has to be asked, and what is made of a machine's answer."""

from types import SimpleNamespace
from typing import Any

import pytest

from capsule.v1 import update_pb2
from capsulectl import contexts, names
from capsulectl.errors import Failure
from capsulectl.schema import explain, field_paths


def offered(incomplete: str) -> list[str]:
    return field_paths(SimpleNamespace(incomplete=incomplete))


def test_kinds_are_offered_and_behind_a_dot_their_fields() -> None:
    assert offered("") == offered("Con") == ["Container", "MicroVM", "Volume"]
    assert {"Container.restart", "Container.container", "Container.labels"} <= set(offered("Container.re"))
    assert "Container.container.health.retries" in offered("Container.container.health.")
    assert "MicroVM.vcpus" in offered("MicroVM.") and "MicroVM.container" not in offered("MicroVM.")
    assert set(offered("Volume.")) >= {"Volume.name", "Volume.size"}
    for nothing in ("Nonsense.", "Volume.name.", "Container.nope.", "Container.container.env.", "Container.image."):
        assert offered(nothing) == [], nothing


@pytest.mark.parametrize("path", ["", "Container.", "MicroVM.", "Volume.", "Container.health.", "Container.resources."])
def test_whatever_is_offered_is_explained(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    for one in offered(path):
        explain(one)
    assert capsys.readouterr().out


def test_contexts_are_offered_with_their_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    local = {"contexts": {"socket": {"socket": "/s"}}}
    monkeypatch.setattr(contexts, "load_local", lambda: local)
    monkeypatch.setattr(contexts, "load_shared", lambda: {"contexts": {"home": {"addr": "home:50000"}}})
    assert names.context_names(None) == [("home", "home:50000"), ("socket", "unix:/s")]


def test_a_configuration_that_cannot_be_read_offers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged() -> dict[str, Any]:
        raise Failure("no valid YAML")

    monkeypatch.setattr(contexts, "load_local", damaged)
    assert names.context_names(None) == []


def test_updates_are_offered_by_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = update_pb2.UpdateListResponse(updates=[update_pb2.OSUpdate(uid=7, version="0.2.0")])
    connection: Any = SimpleNamespace(updates=SimpleNamespace(List=None), read=lambda method, request, timeout: answer)
    monkeypatch.setattr(names, "_asked", lambda context, ask: ask(connection))
    assert names.update_numbers(None) == [("7", "0.2.0")]
