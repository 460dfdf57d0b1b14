"""Logs of those that have a label: each line has its workload's name before it."""

from types import SimpleNamespace
from typing import Any

import pytest

from capsule.v1 import workload_pb2 as pb
from capsulectl import logs, workload_list
from capsulectl.errors import USAGE, Failure


class Machine:
    """One with two that belong to a site, and another."""

    workloads = SimpleNamespace(Logs="Logs", Get="Get", List="List")
    there = [
        pb.Workload(name=name, labels=labels, kind=pb.WORKLOAD_KIND_CONTAINER)
        for name, labels in (("db", {"app": "site"}), ("other", {}), ("web", {"app": "site"}))
    ]

    def stream(self, method: str, request: Any) -> Any:
        return iter([pb.WorkloadLogChunk(data=f"of {request.name}\n".encode())])

    def read(self, method: str, request: Any) -> Any:
        return pb.WorkloadListResponse(workloads=self.there)

    def calls(self, method: str, requests: Any, changes: bool) -> list[Any]:
        return [next(one for one in self.there if one.name == request.name) for request in requests]


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "Connection", lambda capsule: Machine())
    monkeypatch.setattr(workload_list, "Connection", lambda capsule: Machine())


def test_labels_choose_logs(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    logs.logs(selector=("app=site",))
    assert capfdbinary.readouterr().out == b"db  | of db\nweb | of web\n"
    with pytest.raises(Failure, match="go with one workload"):
        logs.logs(selector=("app=site",), previous=True)


def test_labels_choose_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    workload_list.get(selector=("app=site",), output="name")
    assert capsys.readouterr().out == "db\nweb\n"
    workload_list.get(selector=("!app",), output="json")
    assert '"workloads": [' in capsys.readouterr().out, "however many they are"
    with pytest.raises(Failure, match="no workload has app=none"):
        workload_list.get(selector=("app=none",))


def test_names_or_labels_are_needed_and_not_both() -> None:
    for verb in (logs.logs, workload_list.get):
        with pytest.raises(Failure, match="needs NAMES, or -l") as caught:
            verb()
        assert caught.value.code == USAGE
        with pytest.raises(Failure, match="takes names or -l, not both"):
            verb(("web",), selector=("app",))
