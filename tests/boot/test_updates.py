"""Updates of the built disk, as an operator makes them: good ones, bad ones, and power that goes in between. One machine
for all of it, in this order."""

import io
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from effects.slots.manifest import Levels
from image import bundle
from tests.support.booted import BOOT_S, ROOT, Booted, built
from tests.support.newer import AFTER_NEXT, LEVELS, MUST, NEXT, TELLS, newer_root
from tests.support.switching.machine import status

pytestmark = pytest.mark.boot

PANICS = """#!/bin/busybox sh
/bin/busybox echo "this system panics"
/bin/busybox sleep 1
/bin/busybox echo c >/proc/sysrq-trigger
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    place = tmp_path_factory.mktemp("machine")
    booted = Booted(place, built())
    with tarfile.open(ROOT / "build/update.tar") as tar:
        tar.extractall(place / "images")  # our own
    booted.switch_on()
    try:
        yield booted
    finally:
        booted.pull_the_plug()


def made(
    machine: Booted,
    version: str,
    commit: str,
    boot: str = "boot.img",
    root: str = "root.img",
    levels: Levels | None = None,
) -> Path:
    """A bundle of the built images under another name, or of others."""
    images = machine.place / "images"
    target = machine.place / f"{commit}.tar"
    members = {"boot.img": images / boot, "root.img": images / root}
    bundle.write(target, version, commit, members, int(time.time()), levels=levels)
    return target


def small(machine: Booted, version: str, commit: str) -> Path:
    """One that comes quickly, and that nothing boots from."""
    for name in ("small.boot", "small.root"):
        (machine.place / "images" / name).write_bytes(name.encode() * 100_000)
    return made(machine, version, commit, "small.boot", "small.root")


def panicking(machine: Booted) -> Path:
    """A root file system that boots as far as PID 1, and panics there."""
    tree = machine.place / "panics"
    for name in ("sbin", "bin", "dev", "proc", "sys", "run"):
        (tree / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    (tree / "sbin/init").write_text(PANICS)
    (tree / "sbin/init").chmod(0o755)
    target = machine.place / "images/panics.img"
    subprocess.run(["mksquashfs", tree, target, "-quiet", "-no-progress", "-all-root"], check=True)
    return made(machine, NEXT, "bad", root="panics.img")


def until_in(machine: Booted, slot: str, boot: str) -> None:
    """Until the machine answers from this slot, in another boot."""

    def answers() -> bool:
        done = machine.ctl("capsule", "info", "-o", "json", timeout=60)
        return done.returncode == 0 and f'"activeSlot": "{slot}"' in done.stdout and boot not in done.stdout

    machine.until(answers, f"{slot} answers", BOOT_S * 2)


def boot_of(machine: Booted) -> str:
    return str(machine.data("capsule", "info")["bootId"])


def ups(machine: Booted) -> int:
    return machine.good("exec", "counter", "--", "cat", "/data/ups").count("up\n")


def test_a_machine_with_a_workload_stands_in_its_first_slot(machine: Booted) -> None:
    machine.adopt()
    machine.run_counter()
    found = status(machine)
    assert (found["activeSlot"], found["defaultSlot"]) == ("slot_a", "slot_a") and "current" not in found
    (started,) = [one for one in machine.history() if one["type"] == "boot.started"]
    assert started["slot"] == "slot_a"


def test_what_is_no_good_is_refused_with_the_reason_and_changes_no_boot(machine: Booted) -> None:
    good = small(machine, NEXT, "ccc").read_bytes()
    older = io.BytesIO()
    with tarfile.open(fileobj=older, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in ("VERSION", "vmlinuz", "initramfs", "rootfs.sqsh"):
            info = tarfile.TarInfo(name)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"1.2\n"))
    altered = bytearray(good)
    altered[-100_000] ^= 1
    for data, said in (
        (older.getvalue(), "an update of another system"),
        (bytes(altered), "root.img is not what the manifest says"),
        (good[:-200_000], "the bundle ended in the middle of root.img"),
        (small(machine, "0.0.0", "ddd").read_bytes(), "is older than"),
    ):
        file = machine.place / "bad.tar"
        file.write_bytes(data)
        done = machine.ctl("update", "push", str(file), "--yes", "--no-wait", timeout=600)
        assert done.returncode == 1 and said in done.stderr, done.stderr
    found = status(machine)
    assert "current" not in found and found["last"]["phase"] == "failed"
    loader = machine.inside("dd if=/dev/vda1 bs=1M 2>/dev/null | grep -a -o 'next_slot=[a-z_]*' | head -1")
    assert loader.strip() == "next_slot="


def test_a_firmware_that_cannot_write_boots_the_system_that_ran_and_says_that_the_trial_never_began(
    machine: Booted,
) -> None:
    """The first write of a boot is the loader's: it takes its one-shot back. That one fails, and no other."""
    boot = boot_of(machine)
    machine.good("update", "push", str(small(machine, NEXT, "eee")), "--yes", "--stay", timeout=600)
    machine.pull_the_plug()
    machine.drive = (
        f"driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename={machine.place}/disk.raw,"
        "file.inject-error.0.event=write_aio,file.inject-error.0.errno=5,file.inject-error.0.once=on,cache=unsafe"
    )
    machine.switch_on()
    machine.drive = ""
    until_in(machine, "slot_a", boot)
    machine.until_shown("this firmware cannot write the disk", BOOT_S)
    last = status(machine)["last"]
    assert (last["phase"], last["cause"], last["confidence"]) == ("rolled-back", "never-booted", "certain")
    assert "firmware could not write" in machine.ctl("capsule", "info").stderr
    boot = boot_of(machine)
    machine.pull_the_plug()
    machine.switch_on()
    until_in(machine, "slot_a", boot)
    assert status(machine)["last"]["uid"] == last["uid"], "the one-shot was taken back by the daemon"
    machine.until(machine.is_up, "the boot is complete")


def test_a_system_that_panics_is_left_by_itself_and_not_tried_again_unasked(machine: Booted) -> None:
    boot, file = boot_of(machine), panicking(machine)
    machine.good("update", "push", str(file), "--yes", "--no-wait", timeout=900)
    machine.until_shown("this system panics", BOOT_S)
    until_in(machine, "slot_a", boot)
    machine.until(machine.is_up, "the boot is complete")
    last = status(machine)["last"]
    assert last["phase"] == "rolled-back"
    report = machine.data("postmortem")
    # Where the firmware kept the kernel's last words that is certain; where it did not, nobody pretends to know.
    assert (report["cause"], report["confidence"]) in (("kernel-panic", "certain"), ("unknown", "none")), report
    assert report["cause"] == last["cause"]
    assert [one["role"] for one in report["boots"]] == ["before", "tried", "after"]
    assert [one["text"] for one in report["timeline"] if one["role"] == "tried"][:2] == [
        "the initramfs runs and has found the disk",
        "the root is mounted",
    ]
    assert [(one["name"], one["before"], one.get("tried")) for one in report["workloads"]] == [
        ("counter", "running", None)
    ]
    assert "<svg" in machine.good("postmortem", "-o", "html")
    done = machine.ctl("update", "push", str(file), "--yes", "--no-wait")
    assert done.returncode == 1 and "was tried in update" in done.stderr and "--retry" in done.stderr
    machine.good("wait", "counter", "--for", "running", "--timeout", "300", timeout=400)


def newer(machine: Booted, version: str, commit: str) -> Path:
    """One that writes what the first system does not know."""
    images = machine.place / "images"
    if not (images / "newer.img").exists():
        newer_root(images / "root.img", machine.place / "newer", images / "newer.img")
        shutil.rmtree(machine.place / "newer")
    return made(machine, version, commit, root="newer.img", levels=LEVELS)


def until_running(machine: Booted) -> None:
    machine.good("wait", "counter", "--for", "running", "--timeout", "300", timeout=400)


def types_of(machine: Booted) -> list[str]:
    return [one["type"] for one in machine.history()]


def containerd_records(machine: Booted) -> str:
    """How containerd's records begin on the disk: in the newer form, or in the first."""
    script = "umount -l $R/meta.db 2>/dev/null; head -c 6 $R/meta.db | tr -d '\\0'"
    return machine.inside(f"export R=/perm/containerd/root/io.containerd.metadata.v1.bolt; unshare -m sh -c '{script}'")


def test_what_a_newer_system_wrote_on_trial_is_read_by_the_one_before_and_a_volume_is_as_it_was(
    machine: Booted,
) -> None:
    before, boot = ups(machine), boot_of(machine)
    file = newer(machine, NEXT, "fff")
    machine.good("update", "push", str(file), "--snapshot", "kept", "--yes", "--no-wait", timeout=1800)
    until_in(machine, "slot_b", boot)
    machine.until(machine.is_up, "the boot is complete")
    until_running(machine)
    assert ups(machine) == before + 1 and containerd_records(machine) == "form 2"
    boot = boot_of(machine)
    assert "kept" in machine.good("update", "rollback", "--with-data", "--dry-run")
    machine.good("update", "rollback", "--with-data", "--yes", "--no-wait")
    until_in(machine, "slot_a", boot)
    machine.until(machine.is_up, "the boot is complete")
    until_running(machine)
    assert TELLS in types_of(machine) and MUST not in types_of(machine)
    assert ups(machine) == before + 1, "the trial's own start is in no volume that was brought back"
    assert containerd_records(machine) != "form 2"
    assert status(machine)["last"]["cause"] == "operator"
    assert {one["type"] for one in machine.history("kept")} >= {"volume.restore_requested", "volume.restored"}


def test_a_good_system_is_watched_and_confirmed_and_its_workloads_and_volumes_are_as_before(machine: Booted) -> None:
    before = ups(machine)
    file = newer(machine, NEXT, "fff")
    machine.good("update", "push", str(file), "--yes", "--auto-confirm", "5s", "--timeout", "900", timeout=1800)
    found = status(machine)
    assert (found["activeSlot"], found["defaultSlot"]) == ("slot_b", "slot_b") and found["tentative"] is False
    until_running(machine)
    assert ups(machine) == before + 1
    machine.until(lambda: MUST in types_of(machine), "it writes what the first system cannot read")
    types = types_of(machine)
    order = ["update.begun", "update.staged", "update.arming", "update.armed", "boot.started", "update.confirming"]
    begin = len(types) - 1 - types[::-1].index("update.begun")
    assert [one for one in types[begin:] if one in (*order, "update.confirmed")] == [*order, "update.confirmed"]
    machine.good("journal", "verify")


def to_the_frozen_one(machine: Booted) -> None:
    """A trial of the first system, which cannot read what stands in the journal now."""
    boot = boot_of(machine)
    machine.good("update", "rollback", "--yes", "--no-wait", "--allow-freeze")
    until_in(machine, "slot_a", boot)
    assert status(machine)["tentative"] is True


def test_power_that_goes_during_a_trial_leads_back_to_what_was_confirmed(machine: Booted) -> None:
    said = machine.good("update", "rollback", "--dry-run")
    assert "freezes" in said and MUST in said and "format/containerd" in said
    refused = machine.ctl("update", "rollback", "--yes")
    assert refused.returncode == 1 and "--allow-freeze" in refused.stderr
    to_the_frozen_one(machine)
    machine.until_shown(r"on trial: goes back in \d+ min")
    boot = boot_of(machine)
    machine.pull_the_plug()
    machine.switch_on()
    until_in(machine, "slot_b", boot)
    found = status(machine)
    assert found["last"]["phase"] == "rolled-back" and found["defaultSlot"] == "slot_b"
    machine.until(machine.is_up, "the boot is complete")
    until_running(machine)
    machine.good("journal", "verify")


def test_a_frozen_system_keeps_what_is_declared_and_thaws_with_the_next_update(machine: Booted) -> None:
    before = ups(machine)
    to_the_frozen_one(machine)
    info = machine.ctl("capsule", "info")
    assert "frozen" in info.stdout + info.stderr and MUST in info.stderr
    assert "side log" in machine.ctl("update", "confirm").stderr
    found = status(machine)
    assert found["defaultSlot"] == "slot_a" and found["tentative"] is False
    assert machine.good("list", "-o", "name").split() == ["counter"] and MUST in types_of(machine)
    refused = machine.ctl("restart", "counter")
    assert refused.returncode == 1 and "nothing can be changed" in refused.stderr
    file = newer(machine, AFTER_NEXT, "abc")
    machine.good("update", "push", str(file), "--yes", "--auto-confirm", "5s", "--timeout", "900", timeout=1800)
    found = status(machine)
    assert (found["activeSlot"], found["defaultSlot"]) == ("slot_b", "slot_b") and found["tentative"] is False
    machine.until(machine.is_up, "the boot is complete")
    until_running(machine)
    assert ups(machine) == before + 1, "the frozen one starts nothing"
    ended = [(one["kind"], one["phase"]) for one in machine.data("update", "history")][-2:]
    assert ended == [("rollback", "confirmed"), ("push", "confirmed")]
    machine.good("journal", "verify")
