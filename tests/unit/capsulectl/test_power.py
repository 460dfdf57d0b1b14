"""What a reboot and a power-off say, and that they keep quiet for who asks for that."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from capsule.v1 import capsule_pb2 as pb
from capsulectl import power
from capsulectl.contexts import Target
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
