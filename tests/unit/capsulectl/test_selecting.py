"""Which workloads a verb is for."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from capsule.v1 import workload_pb2 as pb
from capsulectl import absent, workload
from capsulectl.errors import Failure
from capsulectl.options import Common
from capsulectl.selecting import declared, targets

VOLUME = "name: data\nkind: Volume\nsize: 16MiB\n"
WEB = "name: web\nkind: Container\ncontainer: {image: demo:1}\n"


class Machine:
    """One that has these workloads, and takes every call."""

    def __init__(self, *names: str) -> None:
        self.asked: list[str] = []
        self.there = [pb.Workload(name=name) for name in names]
        self.workloads = SimpleNamespace(
            List="List", Get="Get", Start="Start", Stop="Stop", Restart="Restart", Delete="Delete"
        )

    def read(self, method: str, request: Any) -> pb.WorkloadListResponse:
        return pb.WorkloadListResponse(workloads=self.there)

    def calls(self, method: str, requests: list[Any], changes: bool = True) -> list[Any]:
        if not changes:
            return [next(one for one in self.there if one.name == request.name) for request in requests]
        self.asked += [f"{method} {request.name}" for request in requests]
        return [getattr(pb, f"Workload{method}Response")() for _ in requests]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine("db", "web")
    monkeypatch.setattr(workload, "Connection", lambda capsule: made)
    return made


def test_all_are_those_there_are_and_need_not_be_any() -> None:
    assert targets(Machine("db", "web"), (), (), "stop", every=True) == ["db", "web"]
    assert targets(Machine(), (), (), "stop", every=True) == []
    with pytest.raises(Failure, match="which one"):
        targets(Machine("db"), (), (), "stop")


@pytest.mark.parametrize(
    ("names", "labels", "words"), [(["web"], (), "--all, or names"), ((), ["app=web"], "--all, or -l")]
)
def test_all_and_some_are_not_asked_for_at_once(names: list[str], labels: list[str], words: str) -> None:
    with pytest.raises(Failure, match=words) as caught:
        targets(Machine("web"), names, labels, "stop", every=True)
    assert caught.value.code == 2


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_every_verb_but_a_wait_is_for_all(machine: Machine, verb: str) -> None:
    getattr(workload, verb)(all_=True)
    assert machine.asked == [f"{verb.capitalize()} db", f"{verb.capitalize()} web"]


def test_what_is_stopped_does_not_begin_again_with_all(machine: Machine) -> None:
    machine.there[0].desired_state = pb.DESIRED_STATE_STOPPED
    workload.restart(all_=True)
    assert machine.asked == ["Restart web"]
    workload.start(all_=True)
    assert machine.asked[1:] == ["Start db", "Start web"]


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_who_starts_what_cannot_begin_is_told_what_it_waits_for(
    machine: Machine, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = machine.there[1].status
    status.phase_detail, status.message = "waiting", "it waits for db, which is stopped"
    getattr(workload, verb)(all_=True)
    db, web = capsys.readouterr().err.splitlines()
    assert db in ("db shall run", "db shall begin a new run")
    assert web == f"{db.replace('db', 'web')}, but cannot yet: it waits for db, which is stopped"


def test_a_delete_of_all_asks_and_says_what_goes(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []
    monkeypatch.setattr(workload, "confirm", lambda question, yes: asked.append((question, yes)))
    workload.delete(all_=True)
    assert asked == [("Delete db, web with everything in them?", False)]
    assert machine.asked == ["Delete db", "Delete web"]


def test_where_there_is_nothing_nothing_is_asked(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.there = []
    workload.delete(all_=True)
    assert machine.asked == [] and capsys.readouterr().err == "there are no workloads\n"


def test_a_file_stands_for_its_workloads_and_its_volumes_stay(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "both.yaml").write_text(f"{WEB}---\n{VOLUME}")
    workload.delete(filename=(str(tmp_path),), yes=True)
    assert machine.asked == ["Delete web"]
    assert capsys.readouterr().err.splitlines() == ["volumes stay: data", "web is gone"]


def test_a_file_of_volumes_alone_deletes_nothing(tmp_path: Path) -> None:
    (tmp_path / "volume.yaml").write_text(VOLUME)
    with pytest.raises(Failure, match="leaves alone: `capsulectl volume delete data`") as caught:
        declared([str(tmp_path / "volume.yaml")], "delete")
    assert caught.value.code == 2


def nothing_is_there(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever shall be deleted is not there."""
    gone = [pb.WorkloadDeleteResponse(absent=True)]
    monkeypatch.setattr(machine, "calls", lambda method, requests: gone * len(requests))


def test_of_what_is_not_there_the_nearest_is_named(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing_is_there(machine, monkeypatch)
    workload.delete(("wb", "nothere"), yes=True)
    assert capsys.readouterr().err.splitlines() == ["there was no wb: do you mean web?", "there was no nothere"]


def test_nobody_is_asked_about_what_is_not_there(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(absent, "asks", lambda yes: not yes)
    monkeypatch.setattr(workload, "confirm", lambda question, yes: asked.append(question))
    workload.delete(("nothere",))
    assert asked == [] and machine.asked == [] and capsys.readouterr().err == "there was no nothere\n"
    workload.delete(("db", "nothere"))
    assert asked == ["Delete db with everything in it?"] and machine.asked == ["Delete db"]


def test_a_workload_may_be_named_with_its_kind() -> None:
    assert targets(Machine(), ["workload/web", "web"], (), "stop") == ["web"]
    with pytest.raises(Failure, match="`capsulectl volume get data` shows it"):
        targets(Machine(), ["volume/data"], (), "stop")


def test_a_plan_says_that_its_steps_are_the_first_ones(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planned = [pb.WorkloadDeleteResponse(plan=[pb.PlannedEffect(effect="StopRun", object="workload/web")])]
    monkeypatch.setattr(machine, "calls", lambda method, requests: planned)
    workload.delete(("web",), dry_run=True)
    said = capsys.readouterr()
    assert "StopRun" in said.out and "until nothing of them is left" in said.err
    workload.delete(("web",), dry_run=True, common=Common(quiet=True))
    assert capsys.readouterr().err == ""
