"""What a reboot and a power-off say, and that they keep quiet for who asks for that."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from capsule.v1 import capsule_pb2 as pb
from capsule.v1 import update_pb2 as pb_update
from capsulectl import power
from capsulectl.contexts import Target
from capsulectl.errors import Failure
from capsulectl.options import Common


class Machine:
    """A connection to one that says of itself what it is told to, and starts anew with each call."""

    target = Target("unix:/nowhere")

    def __init__(self) -> None:
        self.capsule = SimpleNamespace(GetInfo=None, RebootNode=None)
        self.power = SimpleNamespace(PowerOff=None)
        self._boots = 1

    def read(self, call: object, request: object, timeout: float = 0) -> pb.GetInfoResponse:
        return pb.GetInfoResponse(short_id="abc", boot_id=str(self._boots), boot_ready_ms=7_100)

    def call(self, call: object, request: object) -> Any:
        self._boots += 1
        return SimpleNamespace(message="workloads end first")


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Machine()
    monkeypatch.setattr(power, "Connection", lambda capsule: one)
    monkeypatch.setattr(power, "POLL_S", 0.0)


@pytest.mark.parametrize(
    ("verb", "says"),
    [
        (power.reboot, "workloads end first\nabc is up again: its API answered 7.1 s after the kernel began\n"),
        (power.poweroff, "workloads end first\n"),
    ],
)
def test_what_it_says_is_not_said_to_who_wants_quiet(
    verb: Callable[..., None], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verb(yes=True)
    assert capsys.readouterr() == ("", says)
    verb(yes=True, common=Common(quiet=True))
    assert capsys.readouterr() == ("", "")


ARMED = pb_update.UpdateStatus(current=pb_update.OSUpdate(uid=7, phase="armed", version="0.2.0", slot="slot_b"))
IDLE = pb_update.UpdateStatus()
NEXT = ". Update 7 waits for the next boot: 0.2.0 in slot_b comes up, on trial. Go on?"
BACK = ". slot_b is not confirmed: the system before, 0.1.0, comes back. Go on?"


@pytest.mark.parametrize("verb", [power.reboot, power.poweroff])
@pytest.mark.parametrize(
    ("info", "status", "asks"),
    [
        ({"pending_slot": "slot_b", "active_slot": "slot_b", "last_version": "0.1.0"}, IDLE, BACK),
        ({"active_slot": "slot_a"}, ARMED, NEXT),
        ({"active_slot": "slot_a"}, IDLE, "run on it. Go on?"),
        ({"active_slot": "slot_a"}, Failure("your role does not suffice"), "run on it. Go on?"),
        ({}, Failure("no slots here"), "run on it. Go on?"),
    ],
    ids=["on trial", "armed", "as it is", "not told", "hosted"],
)
def test_who_is_asked_is_told_which_system_comes_up_then(
    verb: Callable[..., None],
    info: dict[str, str],
    status: pb_update.UpdateStatus | Failure,
    asks: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    class Slotted(Machine):
        updates = SimpleNamespace(Status="status")

        def read(self, call: object, request: object, timeout: float = 0) -> Any:
            if call != "status":
                return pb.GetInfoResponse(short_id="abc", **info)  # type: ignore[arg-type]
            if isinstance(status, Failure):
                raise status
            return status

    def no(question: str, yes: bool) -> None:
        asked.append(question)
        raise Failure("nothing was changed")

    monkeypatch.setattr(power, "Connection", lambda capsule: Slotted())
    monkeypatch.setattr(power, "confirm", no)
    with pytest.raises(Failure, match="nothing was changed"):
        verb()
    assert asked[0].endswith(asks)
