"""A fourth life to record: the operating system's. A stick installs it on a disk, which grows; its clock is set, its daemon
crashes, its state's disk is full, an operator may not do everything, a system is updated, taken back and lost, and in
the end all keys are taken off. Takes a quarter of an hour."""

import tarfile
import tempfile
from pathlib import Path

from effects.slots.manifest import MEMBERS
from tests.support.booted import ROOT, Booted, built
from tests.support.daemon import manifest
from tests.support.ntp import time_server
from tests.support.operators import Operator
from tests.support.stick import GIB, Stick
from tests.support.switching.machine import status, until_answers
from tests.support.switching.releases import BAD, GOOD, Release, made

DISK_GIB, GROWN_GIB = 12, 16
LOADER = "Welcome to GRUB"
INSTALL_S, PUSH_S = 1_200, 1_800
AHEAD_S = 20.0
TALKS = "while :; do echo a line that nobody can keep; sleep 0.01; done"
FILL = """
dd if=/dev/zero of=/perm/filler bs=1M 2>/dev/null
dd if=/dev/zero of=/perm/rest bs=512 2>/dev/null
sleep 10
rm /perm/filler /perm/rest
"""
(NO_GOOD,) = (one for one in BAD if one.name == "daemon-crashes")


def live(archive: Path) -> None:
    """All of that, and its journal into `archive`."""
    with tempfile.TemporaryDirectory(prefix="capsule-booted-") as scratch, time_server(AHEAD_S):
        machine = Stick(Path(scratch), built(), DISK_GIB)
        machine.switch_on()
        try:
            _installed(machine)
            _grown(machine)
            _crashed(machine)
            _denied(machine)
            _full(machine)
            _updated(machine)
            _taken_back(machine)
            _failed(machine)
            _cut(machine)
            _reset(machine)
            assert "Verified" in machine.good("replay", "--verify")
            machine.good("journal", "export", str(archive))
        finally:
            machine.pull_the_plug()


def _installed(machine: Stick) -> None:
    """From the stick; its clock asks us from the next boot on."""
    machine.fingerprint()
    installing = machine.begin(machine.named(DISK_GIB))
    _, said = installing.communicate(timeout=INSTALL_S)
    assert installing.returncode == 0, said
    machine.until(machine.is_up, "the boot is complete", INSTALL_S)
    machine.run_counter()
    machine.inside("echo 10.0.2.2 >/perm/capsule/ntp")


def _grown(machine: Booted) -> None:
    machine.monitor("block_resize", device="disk", size=GROWN_GIB * GIB)
    machine.until(lambda: machine.data("capsule", "grow-disk", "--dry-run").get("unusedBytes"), "the kernel sees it")
    machine.good("capsule", "grow-disk")


def _crashed(machine: Booted) -> None:
    machine.ctl("capsule", "debug", "-q", "--", "chroot", "/host", "sh", "-c", "kill -SEGV $(cat /perm/capsuled.pid)")
    _until_told(machine, "daemon.crashed")
    machine.good("wait", "counter")


def _denied(machine: Stick) -> None:
    """One who may only look."""
    reader = Operator(machine.place / "reader")
    machine.good("key", "add", reader.public_key(), "--name", "reader", "--role", "reader")
    reader.good("adopt", machine.address, "--yes")
    reader.good("list")
    assert reader.ctl("stop", "counter").returncode == 1
    _until_told(machine, "call.denied")


def _full(machine: Booted) -> None:
    """The disk of the state, while somebody talks; and a volume."""
    machine.apply(manifest("talks", TALKS), "--wait")
    machine.inside(FILL)
    machine.good("stop", "talks", "--wait")
    _until_told(machine, "workload.log_dropped")
    machine.good("delete", "talks", "--yes")
    machine.good("exec", "counter", "--", "sh", "-c", "dd if=/dev/zero of=/data/much bs=1M count=52 2>/dev/null; sync")
    _until_told(machine, "volume.filling")
    machine.good("exec", "counter", "--", "rm", "/data/much")


def _updated(machine: Booted) -> None:
    """To a good one; its clock is set in that boot."""
    before = machine.data("capsule", "info")
    words = ("--auto-confirm", "3s", "--snapshot", "kept", "--yes", "--timeout", "900")
    machine.good("update", "push", _bundle(machine, GOOD), *words, timeout=PUSH_S)
    until_answers(machine, "slot_b", before["bootId"])
    _until_told(machine, "clock.stepped")


def _taken_back(machine: Booted) -> None:
    """With its data."""
    before = machine.data("capsule", "info")
    machine.good("update", "rollback", "--with-data", "--yes", "--no-wait", timeout=PUSH_S)
    until_answers(machine, "slot_a", before["bootId"])
    machine.good("update", "confirm")


def _failed(machine: Booted) -> None:
    """One that is no good goes back by itself."""
    before = machine.data("capsule", "info")
    machine.good("update", "push", _bundle(machine, NO_GOOD), "--yes", "--no-wait", timeout=PUSH_S)
    until_answers(machine, "slot_a", before["bootId"], PUSH_S)
    machine.until(lambda: status(machine)["last"]["phase"] == "rolled-back", "it has gone back")
    machine.good("postmortem")


def _bundle(machine: Booted, release: Release) -> str:
    images, target = machine.place / "images", machine.place / f"{release.commit}.tar"
    with tarfile.open(ROOT / "build/update.tar") as tar:
        tar.extractall(images, [tar.getmember(name) for name in MEMBERS])  # our own
    made(release, images, ROOT / "build/cache", target)
    return str(target)


def _cut(machine: Booted) -> None:
    """The power, and then a reboot in order."""
    before = machine.data("capsule", "info")
    machine.pull_the_plug()
    machine.switch_on()
    found = until_answers(machine, not_boot=before["bootId"])
    machine.good("wait", "counter", "--timeout", "300", timeout=400)
    machine.good("capsule", "reboot", "--yes", "--no-wait")
    until_answers(machine, not_boot=found["bootId"])


def _reset(machine: Stick) -> None:
    """Whoever has the machine in hand takes the keys off, and its operator adopts it anew."""
    loaded = machine.console.count(LOADER)
    machine.inside("touch /perm/capsule/RESET_AUTH")
    machine.good("capsule", "reboot", "--yes", "--no-wait")
    machine.until(lambda: machine.console.count(LOADER) > loaded, "it begins anew")
    machine.good("context", "rm", "home")
    machine.until(lambda: machine.ctl("adopt", machine.address, "--yes").returncode == 0, "it is adopted", 300)
    _until_told(machine, "operators.reset")
    machine.good("wait", "counter", "--timeout", "300", timeout=400)


def _until_told(machine: Booted, tag: str) -> None:
    machine.until(lambda: tag in machine.ctl("history", "--type", tag, "-o", "json").stdout, f"{tag} is told", 300)
