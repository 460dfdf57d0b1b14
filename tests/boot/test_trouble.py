"""A machine in trouble, from bad to worse: no cable, full disks, a pool that is full in data and in metadata, a daemon
that hangs, a PID 1 that does nothing any more, a journal and then a state that is no file system. One machine for all
of it, in this order: what one test has broken, the next one finds mended, by what the manual says."""

import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.booted import BOOT_S, Booted, built
from tests.support.daemon import SERVE, manifest

pytestmark = pytest.mark.boot

FILL_THE_STATE = """
fallocate -l $(stat -f -c '%a * %S' /perm | xargs expr) /perm/filler 2>/dev/null
dd if=/dev/zero of=/perm/filler bs=1M conv=notrunc oflag=append 2>/dev/null
kill -KILL $(cat /perm/capsuled.pid)
"""
GLUTTON = f"dd if=/dev/zero of=/much bs=1M; dd if=/dev/zero of=/rest bs=512; echo full; {SERVE}"
"""Root, in its container."""
FILL_THE_POOL = """
lvm lvcreate --quiet --yes --virtualsize 6g --name filler --thinpool capsule/pool >/dev/null 2>&1
dd if=/dev/zero of=/dev/capsule/filler bs=4M oflag=direct 2>&1 || true
"""
FILL_THE_METADATA = """
import fcntl, struct
head = struct.Struct("=3IIIIiIIIQ128s129s7s")  # dm_ioctl of linux/dm-ioctl.h; the number below is DM_TARGET_MSG
control = open("/dev/mapper/control", "r+b", buffering=0)
number = 1 << 20
try:
    while True:
        said = struct.pack("=Q", 0) + b"create_thin %d\\0" % number
        asked = (4, 0, 0, head.size + len(said), head.size, 0, 0, 0, 0, 0, 0, b"capsule-pool-tpool", b"", b"")
        fcntl.ioctl(control, 0xC138FD0E, bytearray(head.pack(*asked) + said))
        number += 1
except OSError:
    pass
"""
FREEZE_PID_1 = """
mkdir /sys/fs/cgroup/frozen
echo 1 >/sys/fs/cgroup/frozen/cgroup.procs
echo 1 >/sys/fs/cgroup/frozen/cgroup.freeze
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    booted = Booted(tmp_path_factory.mktemp("trouble"), built(), size_gib=8)
    booted.switch_on()
    booted.until((booted.place / "qmp").exists, "QEMU listens")
    try:
        yield booted
    finally:
        booted.pull_the_plug()


def info(machine: Booted) -> dict[str, Any]:
    found: dict[str, Any] = machine.data("capsule", "info")
    return found


def warned(machine: Booted) -> str:
    return machine.ctl("capsule", "info").stderr


def answers(machine: Booted) -> bool:
    return machine.ctl("capsule", "info").returncode == 0


def last_words(machine: Booted, script: str) -> None:
    """Run on the machine what takes the daemon, or more, and with it this session. The session before may just be
    going."""

    def ran() -> bool:
        done = machine.ctl("capsule", "debug", "-q", "--", "chroot", "/host", "sh", "-c", script)
        return "is just being removed" not in done.stderr

    machine.until(ran, "a session can be opened")


def is_tidy(machine: Booted) -> bool:
    done = machine.ctl("list")
    return done.returncode == 0 and "capsule-debug" not in done.stdout


def crash(machine: Booted, how: str) -> None:
    """Wait until the history tells of it."""
    machine.until(lambda: how in machine.ctl("history", "--type", "daemon.crashed").stdout, f"capsuled {how}")


def test_without_a_cable_it_boots_and_when_one_comes_it_is_on_the_lan(machine: Booted) -> None:
    machine.monitor("set_link", name="lan", up=False)
    machine.until_shown("address +no address yet")
    assert "RESCUE" not in machine.console
    machine.monitor("set_link", name="lan", up=True)
    machine.adopt()


def test_with_a_full_state_the_daemon_starts_journals_and_is_helped_through_the_api(machine: Booted) -> None:
    last_words(machine, FILL_THE_STATE)
    crash(machine, "SIGKILL")
    machine.until(lambda: is_tidy(machine), "nothing of that session is left")
    machine.until(lambda: answers(machine), "the API answers")
    assert "the state's disk has 0 B" in warned(machine)
    assert info(machine)["condition"] == "ok"
    machine.good("volume", "create", "kept", "64MiB")
    machine.inside("rm /perm/filler")
    assert "the state's disk" not in warned(machine)
    machine.push_image("demo:1")


def test_a_program_that_fills_the_disk_leaves_room_for_a_debug_session(machine: Booted) -> None:
    machine.apply(manifest("glutton", GLUTTON), "--wait")
    machine.until(lambda: "full" in machine.ctl("logs", "glutton").stdout, "it has written all that it can")
    assert "the state's disk has 0 B" in warned(machine)
    assert int(machine.inside("stat -f -c %f /perm")) > 0
    machine.good("delete", "glutton", "--yes")
    machine.until(lambda: "the state's disk" not in warned(machine), "what it has written is gone")


def test_a_pool_without_room_for_data_refuses_volumes_and_nothing_else(machine: Booted) -> None:
    assert "No space left on device" in machine.inside(FILL_THE_POOL)
    refused = machine.ctl("volume", "create", "late", "16MiB")
    assert refused.returncode == 1 and "the pool under the volumes is full" in refused.stderr
    machine.inside("echo x >/perm/probe && sync /perm/probe && rm /perm/probe")
    machine.inside("lvm lvremove --quiet --yes capsule/filler")
    machine.good("volume", "create", "late", "16MiB")
    machine.good("journal", "verify")


def test_a_pool_without_room_for_metadata_refuses_volumes_until_it_is_given_some(machine: Booted) -> None:
    machine.inside(f"python3 -c '{FILL_THE_METADATA}'")
    assert " ro " in machine.inside("dmsetup status capsule-pool-tpool")
    refused = machine.ctl("volume", "create", "later", "16MiB")
    assert refused.returncode == 1 and "the pool under the volumes is full" in refused.stderr
    machine.inside("echo x >/perm/probe && sync /perm/probe && rm /perm/probe")
    machine.inside("lvm lvextend --quiet --poolmetadatasize +16M capsule/pool")
    machine.good("volume", "create", "later", "16MiB")
    machine.good("journal", "verify")


def test_a_daemon_that_hangs_is_ended_and_started_again(machine: Booted) -> None:
    last_words(machine, "kill -STOP $(cat /perm/capsuled.pid)")
    machine.until_shown("capsuled does not answer: it is ended and started again")
    crash(machine, "did not answer any more")
    machine.until(lambda: is_tidy(machine), "nothing of that session is left")


def test_a_machine_whose_pid_1_does_nothing_any_more_is_reset_by_its_watchdog(machine: Booted) -> None:
    before = info(machine)["bootId"]
    last_words(machine, f"exec /usr/bin/nsenter -t 1 -m -C -- sh -c '{FREEZE_PID_1}'")
    machine.until(lambda: restarted(machine, before), "a reset", BOOT_S)
    machine.until(machine.is_up, "the boot is complete")
    started = [line for line in machine.good("history").splitlines() if "daemon.started" in line]
    assert "before: power-lost" in started[-1]
    assert {"late", "later"} <= set(machine.good("volume", "list", "-o", "name").split())


def restarted(machine: Booted, before: str) -> bool:
    said = machine.ctl("capsule", "info", "-o", "json").stdout
    found = re.search(r'"bootId": *"([^"]+)"', said)
    return found is not None and found[1] != before


@pytest.fixture(scope="module")
def rooms(machine: Booted) -> dict[str, tuple[int, int]]:
    """Where on the machine's disk the file systems lie: offset and length in bytes."""
    first = int(machine.inside("cat /sys/class/block/vda6/start"))
    found = {}
    for name in ("journal", "perm"):
        _, sectors, _, _, offset = machine.inside(f"dmsetup table capsule-{name}").split()
        found[name] = ((first + int(offset)) * 512, int(sectors) * 512)
    return found


def lose(machine: Booted, room: tuple[int, int]) -> None:
    """The power goes, and with it all that was there."""
    machine.pull_the_plug()
    offset, length = map(str, room)
    subprocess.run(
        ["fallocate", "--punch-hole", "--offset", offset, "--length", length, machine.place / "disk.raw"], check=True
    )
    machine.switch_on()


def test_without_the_journals_file_system_it_answers_its_operators_and_changes_nothing(
    machine: Booted, rooms: dict[str, tuple[int, int]]
) -> None:
    lose(machine, rooms["journal"])
    machine.until_shown("read-only")
    machine.until(lambda: answers(machine), "the API answers")
    said = info(machine)
    assert said["condition"] == "read-only" and "the journal's disk cannot be used" in said["conditionMessage"]
    refused = machine.ctl("volume", "create", "never", "16MiB")
    assert refused.returncode == 1 and "the journal's disk cannot be used" in refused.stderr
    assert "not adopted:" not in machine.console, "nobody else may adopt it"


def test_without_a_state_the_console_says_why_and_nothing_is_served(
    machine: Booted, rooms: dict[str, tuple[int, int]]
) -> None:
    lose(machine, rooms["perm"])
    machine.until_shown("RESCUE: this capsule has no state to start on")
    machine.until_shown("/dev/capsule/perm is damaged beyond e2fsck's repair")
    assert not answers(machine)
    assert "address " not in machine.console


def test_its_power_button_ends_it_all_the_same(machine: Booted) -> None:
    machine.monitor("system_powerdown")
    machine.until_off()
    assert "capsule: the machine is off" in machine.console
