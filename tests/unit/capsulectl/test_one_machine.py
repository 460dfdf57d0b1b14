"""A command is about one machine to its end, whichever context becomes the current one while it waits."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from capsule.v1 import (
    capsule_pb2,
    capsule_pb2_grpc,
    debug_pb2,
    debug_pb2_grpc,
    history_pb2,
    history_pb2_grpc,
    machine_pb2,
    machine_pb2_grpc,
    move_pb2,
    move_pb2_grpc,
    update_pb2,
    update_pb2_grpc,
    workload_pb2,
    workload_pb2_grpc,
)
from capsulectl import contexts, power, restore, update_push
from capsulectl.connection import Connection
from capsulectl.debug import debug
from capsulectl.journal import export
from capsulectl.update import rollback
from tests.support.served import served

RUNS = workload_pb2.WorkloadStatus(phase=workload_pb2.WORKLOAD_PHASE_RUNNING, phase_detail="healthy")


class Machine(
    capsule_pb2_grpc.CapsuleServiceServicer,
    update_pb2_grpc.UpdateServiceServicer,
    debug_pb2_grpc.DebugServiceServicer,
    machine_pb2_grpc.MachineServiceServicer,
    workload_pb2_grpc.WorkloadServiceServicer,
    history_pb2_grpc.HistoryServiceServicer,
    move_pb2_grpc.MoveServiceServicer,
):
    """Says what a healthy one would to every question. Told to go, it starts anew; somebody chooses `other` then."""

    def __init__(self, name: str, other: str, calls: list[str]) -> None:
        self._name = name
        self._other = other
        self._calls = calls
        self._boots = 1

    def _went(self, call: str) -> None:
        """The call that the command waits for the end of."""
        self._calls.append(f"{self._name} {call}")
        self._boots += 1
        contexts.choose(self._other)

    def _also(self, call: str) -> None:
        self._calls.append(f"{self._name} {call}")

    def GetInfo(self, request: Any, context: Any) -> Any:
        self._also("is asked who it is")
        return capsule_pb2.GetInfoResponse(boot_id=f"{self._name}-{self._boots}", short_id=self._name)

    def RebootNode(self, request: Any, context: Any) -> Any:
        self._went("reboots")
        return capsule_pb2.RebootNodeResponse()

    def UpdateOS(self, requests: Any, context: Any) -> Any:
        assert list(requests)
        self._went("is updated")
        return capsule_pb2.UpdateOSResponse(uid=7, next_slot="b")

    def UpdateConfirm(self, request: Any, context: Any) -> Any:
        self._also("is confirmed")
        return capsule_pb2.UpdateConfirmResponse()

    def Status(self, request: Any, context: Any) -> Any:
        self._also("is asked where it stands") if self._boots > 1 else None
        current = update_pb2.OSUpdate(uid=7, phase="trial")
        return update_pb2.UpdateStatus(
            active_slot="b", tentative=True, judged=True, healthy_seconds=9, seconds_left=9, current=current
        )

    def Rollback(self, request: Any, context: Any) -> Any:
        if not request.dry_run:
            self._went("goes back")
        return update_pb2.UpdateRollbackResponse(update=update_pb2.OSUpdate(uid=7, phase="returning"))

    def Open(self, requests: Any, context: Any) -> Any:
        next(requests)
        self._went("is debugged")
        yield debug_pb2.DebugOpened(name="capsule-debug")
        yield from (debug_pb2.DebugOpened() for _ in requests)

    def Watch(self, request: Any, context: Any) -> Any:
        yield machine_pb2.WatchItem(workload=workload_pb2.Workload(name="capsule-debug", status=RUNS), lived_ms=9_000)
        yield machine_pb2.WatchItem(synced=True)

    def Exec(self, requests: Any, context: Any) -> Any:
        self._also(f"runs {next(requests).config.command[0]}")
        yield workload_pb2.WorkloadExecServerMessage(exit=workload_pb2.WorkloadExecExit(exit_code=0))

    def Export(self, request: Any, context: Any) -> Any:
        self._went("is exported")
        yield history_pb2.ExportChunk(data=b"an archive")

    def Stats(self, request: Any, context: Any) -> Any:
        self._also("is asked for its journal")
        return history_pb2.StatsResponse(journal_id="archive", desired_hash="cd")

    def Secrets(self, request: Any, context: Any) -> Any:
        self._also("tells its secrets")
        yield move_pb2.SealedValues(naming_key=b"key")


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is asked of two machines, A the current one and B the one that somebody chooses meanwhile."""
    monkeypatch.setenv("CAPSULE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.delenv("CAPSULE_HOST", raising=False)
    monkeypatch.setattr(power, "POLL_S", 0.0)
    monkeypatch.setattr(update_push, "HEALTH_S", 0.0)
    asked: list[str] = []
    sockets = {name: {"socket": f"{tmp_path}/{name}"} for name in "AB"}
    contexts.save_local({"current": "A", "beside": "", "contexts": sockets})
    with ExitStack() as both:
        for name, other in ("AB", "BA"):
            both.enter_context(served(Machine(name, other, asked), f"unix:{tmp_path}/{name}"))
        yield asked


def _push(directory: Path) -> None:
    (directory / "update.tar").write_bytes(b"a bundle")
    update_push.push(directory / "update.tar", auto_confirm=0.2, yes=True)


def _debug(directory: Path) -> None:
    assert debug("true") == 0


def _export(directory: Path) -> None:
    (directory / "words").write_text("a long passphrase")
    named = partial(export, str(directory / "journal"), secrets=str(directory / "sealed"))
    named(passphrase_file=str(directory / "words"))


def _restore(directory: Path) -> None:
    target = Connection().target
    contexts.choose("B")
    restore._wait(target, move_pb2.RestoreResponse(journal_id="archive", desired_hash="cd"), 5.0)


@pytest.mark.parametrize(
    ("command", "then"),
    [
        (_push, ["is asked who it is", "is updated", "is asked where it stands", "is confirmed"]),
        (lambda _: power.reboot(yes=True), ["is asked who it is", "reboots"]),
        (lambda _: rollback(yes=True), ["is asked who it is", "goes back", "is asked where it stands"]),
        (_debug, ["is debugged", "runs true"]),
        (_export, ["is exported", "is asked for its journal", "tells its secrets"]),
        (_restore, ["is asked for its journal"]),
    ],
    ids=["update push", "reboot", "update rollback", "debug", "journal export", "restore"],
)
def test_a_command_that_waits_goes_on_with_the_machine_that_it_began_with(
    command: Callable[[Path], None], then: list[str], calls: list[str], tmp_path: Path
) -> None:
    command(tmp_path)
    assert contexts.target("").name == "B"
    assert list(dict.fromkeys(calls)) == [f"A {call}" for call in then]
