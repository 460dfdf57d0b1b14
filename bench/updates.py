"""update.time: from the push of an update to the new system's first answer, on the built disk in a virtual machine.

What cannot be done without is the peer: that machine's plain reboot, to its first answer, and beside it the slot's
images written once, made durable and read once, by dd on the machine itself.
"""

import time
from pathlib import Path

from bench.report import Row, in_turn, row
from tests.support.booted import Booted
from tests.support.switching.machine import going_on, over, status, until_answers
from tests.support.switching.releases import GOOD
from tests.support.switching.shelf import Shelf

ROUNDS = 2
_SLOT = """
set -e
root=$(cat /run/capsule/init/root)
case $root in *3) other=${{root%3}}5 ;; *) other=${{root%5}}3 ;; esac
dd if=$root bs=1M count={mib} of=/dev/null
read -r begun _ </proc/uptime
dd if=$root bs=1M count={mib} of=$other conv=fsync
dd if=$other bs=1M count={mib} iflag=direct of=/dev/null
read -r ended _ </proc/uptime
echo $begun $ended
"""
"""What is written comes out of memory."""


def rows(directory: Path) -> list[Row]:
    """Of one machine, there and back."""
    shelf = Shelf(directory)
    drive = over(shelf.prepared / "disk.raw", "raw", directory / "disk.qcow2")
    machine = going_on(shelf.prepared, shelf.prepared / "variables.fd", shelf.fresh_scratch(), drive)
    machine.switch_on()
    try:
        until_answers(machine)
        machine.until(machine.is_up, "the boot is complete")
        return [_measured(machine, shelf)]
    finally:
        machine.pull_the_plug()


def _measured(machine: Booted, shelf: Shelf) -> Row:
    bundle = shelf.bundle(GOOD)
    mib = sum(shelf.members.sizes.values()) >> 20

    def answers_again(*call: str) -> float:
        boot = machine.data("capsule", "info")["bootId"]
        begun = time.perf_counter()
        machine.good(*call, "--yes", "--no-wait", timeout=900)
        until_answers(machine, not_boot=boot)
        taken = time.perf_counter() - begun
        machine.until(machine.is_up, "the boot is complete")
        return taken

    def update_s() -> float:
        former = status(machine)["activeSlot"]
        taken = answers_again("update", "push", str(bundle), "--allow-downgrade")
        assert status(machine)["activeSlot"] != former, "the new system does not run"
        machine.good("update", "confirm")
        return taken

    def slot_s() -> float:
        begun, ended = map(float, machine.inside(_SLOT.format(mib=mib)).split())
        return ended - begun

    update, reboot, slot = in_turn(ROUNDS, update_s, lambda: answers_again("capsule", "reboot"), slot_s)
    note = f"{mib} MiB; reboot {reboot:.1f} s, the slot {slot:.1f} s"
    return row("update.time", update, "s", "reboot and the slot", reboot + slot, "<=1.3", note)
