"""InstallService as its clients meet it: what it tells, what it refuses, and when the machine is whose."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from capsule.v1 import install_pb2 as pb
from capsuled.installed import Installed
from capsuled.installer.installation import Step
from capsuled.installer.screen import screen
from capsuled.installer.service import InstallService, Progress
from capsuled.installer.targets import Target
from capsuled.tokens import kid_of
from tests.support.installers import CERTIFICATE, KEY, LEAST, ME, TwinMachine, target
from tests.support.until import until

GIB = 1 << 30


class Aborted(Exception):
    def __init__(self, code: grpc.StatusCode, message: str, reason: str) -> None:
        super().__init__(message)
        self.code, self.message, self.reason = code, message, reason


class Context:
    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self.done = callback

    async def abort(self, code: grpc.StatusCode, message: str, trailing_metadata: Any) -> None:
        raise Aborted(code, message, dict(trailing_metadata)["capsule-reason"])


class House:
    def __init__(self, machine: TwinMachine) -> None:
        self.machine = machine
        self.ends = 0
        self.service = InstallService(machine, ME, CERTIFICATE, lambda: None, self._ended)

    def _ended(self) -> None:
        self.ends += 1

    async def asked(self, context: Context | None = None, **request: Any) -> list[pb.InstallProgress]:
        wish: dict[str, Any] = {
            "target_disk": "/dev/vda",
            "operator_pubkey": KEY,
            "operator_name": "anna",
            "seal": True,
        }
        return [one async for one in self.service.Install(pb.InstallRequest(**wish | request), context or Context())]

    def install(self, **request: Any) -> list[pb.InstallProgress]:
        return asyncio.run(self.asked(**request))


def test_status_names_the_targets_and_why_others_are_none() -> None:
    said = asyncio.run(House(TwinMachine()).service.Status(pb.InstallStatusRequest(), None))
    assert (said.capsule_id, said.short_id) == (ME.capsule_id, "capsule-2ad9")
    assert list(said.targets) == ["/dev/vda", "/dev/vdc"] and said.target_disk == "/dev/vda"
    assert (said.target_size_bytes, said.boot_disk, said.least_bytes) == (20 * GIB, "/dev/sda", LEAST)
    assert [(one.name, one.is_capsule, one.problem) for one in said.disks] == [
        ("/dev/vda", False, ""),
        ("/dev/vdb", False, "it is too small: 4 GiB is the least"),
        ("/dev/vdc", True, ""),
    ]


def test_what_is_offered_first_is_taken_although_a_disk_before_it_is_a_capsules() -> None:
    class Former(TwinMachine):
        async def targets(self) -> tuple[Target, ...]:
            return (target("/dev/nvme0n1", 40, holds="a capsule", is_capsule=True), *await super().targets())

    house = House(Former())
    said = asyncio.run(house.service.Status(pb.InstallStatusRequest(), None))
    assert list(said.targets) == ["/dev/vda", "/dev/nvme0n1", "/dev/vdc"]
    assert (said.target_disk, said.target_size_bytes) == ("/dev/vda", 20 * GIB)
    assert [one.name for one in said.disks] == ["/dev/nvme0n1", "/dev/vda", "/dev/vdb", "/dev/vdc"]
    assert house.install(target_disk=said.target_disk)[-1].HasField("result")


def test_the_last_message_has_the_result_and_the_disk_knows_its_operator() -> None:
    house = House(TwinMachine())
    *steps, last = house.install()
    assert [(one.phase, one.percent) for one in steps] == [("system", 40), ("boot loader", 100)]
    assert not any(one.HasField("result") for one in steps)
    assert last.result == pb.InstallResult(
        capsule_id=ME.capsule_id, tls_fingerprint_sha256="f" * 64, kid=kid_of(KEY), short_id="capsule-2ad9"
    )
    (installed,) = house.machine.installed
    assert (installed.disk, installed.kid, installed.public_key) == ("/dev/vda", kid_of(KEY), KEY.hex())
    assert (installed.operator, house.ends) == ("anna", 1)


def test_unsealed_nobodys_key_is_on_the_disk_and_the_answer_is_the_same() -> None:
    house = House(TwinMachine())
    last = house.install(seal=False, stay=True)[-1]
    assert (last.result.capsule_id, last.result.kid) == (ME.capsule_id, kid_of(KEY))
    assert (house.machine.installed[0].kid, house.machine.installed[0].public_key, house.ends) == ("", "", 0)


@pytest.mark.parametrize(
    ("request_", "reason", "said"),
    [
        ({"target_disk": ""}, "NO_TARGET", "name the disk"),
        ({"target_disk": "/dev/vdz"}, "NO_SUCH_DISK", "no disk /dev/vdz; it has: /dev/vda, /dev/vdb, /dev/vdc"),
        ({"target_disk": "sda"}, "BOOT_DISK", "/dev/sda is the disk that the installer runs from"),
        ({"target_disk": "/dev/vdb"}, "NOT_A_TARGET", "too small: 4 GiB is the least"),
        ({"target_disk": "/dev/vdb", "reinstall": True}, "NOT_A_TARGET", "too small"),
        ({"target_disk": "/dev/vdc"}, "IS_A_CAPSULE", "`--reinstall` destroys it"),
        ({"operator_pubkey": b""}, "BAD_KEY", "32 bytes"),
        ({"operator_pubkey": b"short", "seal": False}, "BAD_KEY", "32 bytes"),
        ({"operator_name": "local"}, "BAD_NAME", "choose another name"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_touched(request_: dict[str, Any], reason: str, said: str) -> None:
    house = House(TwinMachine())
    with pytest.raises(Aborted, match=said) as refused:
        house.install(**request_)
    assert refused.value.reason == reason
    assert house.machine.installed == [] and house.ends == 0
    assert house.install()[-1].HasField("result")


def test_a_capsule_is_installed_anew_only_where_that_is_asked_for() -> None:
    house = House(TwinMachine())
    assert house.install(target_disk="vdc", reinstall=True)[-1].HasField("result")


def test_one_installer_makes_one_capsule() -> None:
    house = House(TwinMachine())
    house.install(stay=True)
    with pytest.raises(Aborted, match="start the machine anew from it to install another"):
        house.install(target_disk="/dev/vdc", reinstall=True)


def test_what_fails_is_told_and_may_be_tried_again() -> None:
    house = House(TwinMachine(fails="/dev/vda: gone"))
    with pytest.raises(Aborted, match=r"/dev/vda: gone\. The disk does not boot") as failed:
        house.install()
    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.ABORTED, "NOT_INSTALLED")
    assert house.service.progress.failed == "/dev/vda: gone" and house.ends == 0
    house.machine.fails = ""
    assert house.install()[-1].HasField("result")


def test_a_client_that_goes_ends_it_and_two_at_once_are_refused() -> None:
    async def story() -> None:
        machine = TwinMachine()
        house, context = House(machine), Context()
        machine.hold = asyncio.Event()
        first = house.service.Install(
            pb.InstallRequest(target_disk="vda", operator_pubkey=KEY, operator_name="anna", seal=True), context
        )
        assert (await anext(first)).phase == "system"
        with pytest.raises(Aborted, match="somebody is just installing here"):
            await house.asked()
        context.done(None)
        with pytest.raises(asyncio.CancelledError):
            await anext(first)
        assert machine.stopped and machine.installed == [] and not house.service.progress.done
        assert house.service.progress.failed == "whoever asked for it has gone"

    asyncio.run(story())


def test_what_an_installation_tidies_up_is_not_cut_short_however_often_its_client_is_said_to_have_gone() -> None:
    class Tidy(TwinMachine):
        tidied = False

        async def install(self, disk: str, installed: Installed, tell: Callable[[Step], None]) -> None:
            try:
                await super().install(disk, installed, tell)
            finally:
                for _ in range(20):
                    await asyncio.sleep(0)
                self.tidied = True

    async def story() -> None:
        machine = Tidy()
        house, context = House(machine), Context()
        machine.hold = asyncio.Event()
        asked = asyncio.create_task(house.asked(context))
        await until(lambda: (step := house.service.progress.step) is not None and step.phase == "system")
        context.done(None)
        await until(lambda: machine.stopped)
        for _ in range(2):
            asked.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert machine.tidied

    asyncio.run(story())


def test_the_console_says_how_it_is_reached_what_there_is_and_how_far_it_is() -> None:
    house = House(TwinMachine())
    there = asyncio.run(house.machine.targets())

    def shown() -> str:
        return screen("capsule-2ad9", "0.0.1 abc", ("10.0.2.15:50000",), "", "ab" * 32, there, house.service.progress)

    assert "on another machine: capsulectl install 10.0.2.15:50000" in shown() and "hidden" not in shown()
    told = " ".join(screen("capsule-2ad9", "0.0.1", (), "no cable is in eth0", "", (), Progress(), hidden=1).split())
    assert (
        "address no address yet: no cable is in eth0" in told and "! a disk is hidden by the firmware: set its" in told
    )
    assert "/dev/vdb, 1 GiB: nothing that is known (it is too small: 4 GiB is the least)" in " ".join(shown().split())
    assert "nothing is written" in shown()
    assert "to boot /dev/vdc, take out the disk that this installer runs from" in shown()
    house.service.progress.disk, house.service.progress.step = "/dev/vda", Step("system", 47, "copied")
    assert "/dev/vda is being installed on: system, 40 %" in shown() and "nothing is written" not in shown()
    house.service.progress.step, house.service.progress.failed = None, "the disk went"
    assert "was not installed and does not boot: the disk went" in shown()
    house.service.progress.done = True
    assert "/dev/vda is installed" in shown() and all(len(line) <= 79 for line in shown().splitlines())
