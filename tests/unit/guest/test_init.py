"""What PID 1 tells of the payload's end, whatever else fails around it."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest import cgroups, console, ending, init, kernel
from guest.init import Guest
from guest.orders import Lost, Orders
from guest.pump import Pump
from guest.run import Run
from tests.support.runs_in_guests import described


class Machine:
    """A guest whose payload has said `words`, and has ended with 3, before anybody looks; with a service beside it."""

    def __init__(self, directory: Path) -> None:
        self.guest = Guest()
        self.loop = self.guest.loop
        self._port = directory / "port"
        self.pump = Pump(self.loop, os.open(self._port, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK))
        self.payload = subprocess.Popen(["sh", "-c", "echo words; exit 3"], stdout=self.pump.writing)
        self.speaker = os.dup(self.pump.writing)
        self.pump.begin()
        self.service = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        ours, self.socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.loop.process(self.payload.pid, self.guest.ended)
        self.orders = Orders(self.loop, Run(described()), self.payload.pid, ours)
        self.loop.process(self.service.pid, self.orders.service_ended)
        os.waitid(os.P_PID, self.payload.pid, os.WEXITED | os.WNOWAIT)
        self.payload.returncode = self.service.returncode = 0  # the loop reaps them

    def lose_the_service(self) -> None:
        """Its socket and its process, for certain."""
        self.socket.close()
        assert self.service.stdin is not None
        self.service.stdin.close()
        os.waitid(os.P_PID, self.service.pid, os.WEXITED | os.WNOWAIT)

    def end(self) -> None:
        os.close(self.speaker)

    @property
    def said(self) -> bytes:
        return self._port.read_bytes()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setattr(cgroups, "oom_kills", lambda: 0)
    made = Machine(tmp_path)
    yield made
    if made.socket.fileno() >= 0:
        made.lose_the_service()


def test_a_service_that_is_lost_while_the_last_words_go_out_takes_nothing_of_the_end(machine: Machine) -> None:
    def lose() -> None:
        machine.lose_the_service()
        machine.loop.after("end", 0.1, machine.end)

    machine.loop.after("lose", 0.1, lose)
    machine.guest.attend(machine.orders, [machine.pump])
    assert machine.guest.outcome == {"exit": 3} and machine.pump.done and machine.said == b"words\n"


def test_what_ends_beside_the_payload_once_that_is_over_is_told_to_nobody(machine: Machine) -> None:
    beside = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert beside.stdin is not None
    machine.loop.run()
    machine.orders._started(1, beside.pid)
    machine.lose_the_service()
    machine.orders.close()
    beside.stdin.close()
    os.waitid(os.P_PID, beside.pid, os.WEXITED | os.WNOWAIT)
    machine.loop.turn()
    beside.returncode = 0  # the loop has reaped it
    machine.end()


def test_a_service_that_is_lost_in_the_same_round_takes_nothing_of_the_end(machine: Machine) -> None:
    machine.lose_the_service()
    machine.end()
    machine.guest.attend(machine.orders, [machine.pump])
    assert machine.guest.outcome == {"exit": 3} and machine.said == b"words\n"


@pytest.mark.parametrize("known", [True, False])
def test_a_fault_is_the_outcome_only_where_there_was_none(known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []

    def live(guest: Guest) -> None:
        if known:
            guest.outcome = {"exit": 3}
        raise Lost("the service has ended")

    monkeypatch.setattr(Guest, "live", live)
    monkeypatch.setattr(console, "open_standard", lambda: None)
    monkeypatch.setattr(console, "fault", told.append)
    monkeypatch.setattr(ending, "finish", lambda run, disks, end, outcome: told.append(outcome))
    monkeypatch.setattr(kernel, "power_off", lambda: None)
    init.main()
    what, outcome = told
    assert isinstance(what, str) and what.startswith("Lost: the service has ended")
    assert outcome == ({"exit": 3} if known else {"fault": what})
