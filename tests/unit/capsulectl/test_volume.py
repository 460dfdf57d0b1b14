"""What there was of volumes, as it was then."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from capsule.v1 import history_pb2, volume_pb2
from capsulectl import absent, volume
from capsulectl.errors import Failure

HOUR_S = 3_600
YEAR_S = 365 * 24 * HOUR_S


def test_a_snapshot_of_the_past_is_as_old_as_it_was_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    then_s = int(time.time()) - YEAR_S
    taken = volume_pb2.Snapshot(volume="data", name="before", taken=True, requested_at_unix=then_s - 2 * HOUR_S)
    past = history_pb2.AsOfResponse(seq=5, at_unix_ns=then_s * 1_000_000_000, snapshots=[taken])
    monkeypatch.setattr(volume, "Connection", lambda capsule: None)
    monkeypatch.setattr(volume, "as_of", lambda connection, at, quiet, *only: past)
    volume.snapshots("data", at="5")
    assert capsys.readouterr().out.splitlines()[-1].split()[-1] == "2h"


class Machine:
    """One that has these volumes, and these snapshots of data."""

    volumes = SimpleNamespace(List="volumes", Delete="delete", Get="get")
    snapshots = SimpleNamespace(List="snapshots", Delete="delete", Restore="restore")

    def __init__(self, *labels: str) -> None:
        self.labels = labels
        self.asked: list[str] = []

    def read(self, method: str, request: Any) -> Any:
        if method == "volumes":
            return volume_pb2.VolumeListResponse(volumes=[volume_pb2.Volume(name="data")])
        shots = [volume_pb2.Snapshot(volume="data", name=label) for label in self.labels]
        return volume_pb2.SnapshotListResponse(snapshots=shots)

    def call(self, method: str, request: Any) -> Any:
        self.asked.append(request.name)
        if isinstance(request, volume_pb2.VolumeDeleteRequest):
            return volume_pb2.VolumeDeleteResponse(absent=request.name != "data")
        return volume_pb2.SnapshotDeleteResponse(absent=request.name not in self.labels)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine("before", "after")
    monkeypatch.setattr(volume, "Connection", lambda capsule: made)
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What somebody at a terminal was asked, who says yes."""
    questions: list[str] = []
    for module in (absent, volume):
        monkeypatch.setattr(module, "asks", lambda yes: not yes)
    monkeypatch.setattr(volume, "confirm", lambda question, yes: None if yes else questions.append(question))
    return questions


def test_nobody_is_asked_about_a_volume_or_a_snapshot_that_is_not_there(
    machine: Machine, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    volume.delete("date")
    volume.delete_snapshot("data", ["befor"])
    with pytest.raises(Failure, match="volume data has no snapshot befor: do you mean before"):
        volume.restore("data", "befor")
    assert (asked, machine.asked) == ([], [])
    assert capsys.readouterr().err.splitlines() == [
        "there was no volume date: do you mean data?",
        "there was no snapshot befor of volume data: do you mean before?",
    ]
    volume.delete_snapshot("data", ["befor", "after"])
    assert asked == ["Delete snapshot after of volume data?"] and machine.asked == ["after"]


def test_who_is_not_asked_is_told_afterwards(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    volume.delete("date", yes=True)
    volume.delete_snapshot("data", ["befor"], yes=True)
    assert machine.asked == ["date", "befor"] and capsys.readouterr().err.count("do you mean") == 2


def test_by_name_a_snapshot_of_all_volumes_has_its_volume_before_it(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    volume.snapshots("data", output="name")
    assert capsys.readouterr().out == "before\nafter\n"
    volume.snapshots(output="name")
    assert capsys.readouterr().out == "data before\ndata after\n", "as `snapshot-delete` takes them"
