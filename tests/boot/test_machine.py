"""The built disk from its first boot to its end, as an operator meets it. One machine for all of it, in this order."""

import itertools
import random
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.booted import BOOT_S, Booted, built

pytestmark = pytest.mark.boot

FIELD = Path(__file__).resolve().parents[1] / "unit/capsulectl/field"
"""Manifests that other clients apply."""

ISOLATED = """
name: isolated
kind: MicroVM
microVm:
  image: demo:1
  command: [/bin/sh, -c]
  args: ["echo up >> /data/ups; trap 'exit 0' TERM; while true; do sleep 1; done"]
  mounts: [{volumeName: its, mountPath: /data}]
"""
WRITER = """
name: writer
kind: Container
container:
  image: demo:1
  command: [/bin/sh, -c]
  args: ["n=0; while true; do n=$((n+1)); echo $n >> /data/lines; sync /data/lines; echo $n; done"]
  mounts: [{volumeName: written, mountPath: /data}]
"""
"""What it has said, it has on the disk."""

MICROVM_S = "300"
"""A machine in a machine, whose processors are emulated: the probe of KVM, and a boot."""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    place = tmp_path_factory.mktemp("machine")
    booted = Booted(place, built(), more=("-device", "pcie-root-port,id=free-port,chassis=1"))
    booted.switch_on()
    try:
        yield booted
    finally:
        booted.pull_the_plug()


def test_it_boots_and_is_adopted_by_the_fingerprint_on_its_console(machine: Booted) -> None:
    machine.until_shown(r"address +10\.0\.2\.15:50000")
    assert "not adopted" in machine.console
    fingerprint = machine.adopt()
    info = machine.data("capsule", "info")
    assert (info["mode"], info["activeSlot"], info["condition"]) == ("os", "slot_a", "ok")
    assert info["tlsFingerprintSha256"] == fingerprint
    machine.until_shown(r"claim +adopted")


def test_every_stage_of_the_boot_succeeded_and_is_in_the_history(machine: Booted) -> None:
    stages = machine.data("capsule", "info")["bootStages"]
    assert [one["name"] for one in stages if one.get("problem")] == []
    assert {"kernel and initramfs", "volume group", "state", "journal's disk", "memory", "API"} <= {
        one["name"] for one in stages
    }
    (event,) = [one for one in machine.history() if one["type"] == "boot.completed"]
    assert event["slot"] == "slot_a"
    assert "The API answered" in machine.good("capsule", "info", "--boot")


def test_the_first_boot_took_the_whole_disk_though_the_image_is_smaller(machine: Booted) -> None:
    (event,) = [one for one in machine.history() if one["type"] == "disk.grown"]
    (grown,) = event["body"]["parts"]
    size = machine.data("capsule", "info")["diskTotalBytes"]
    assert grown["name"] == "partition" and grown["after_bytes"] - grown["before_bytes"] == size - (4 << 30)
    assert machine.data("capsule", "grow-disk", "--dry-run") == {"disk": "/dev/vda"}


def test_the_contract_of_volumes_holds_on_the_thin_pool(machine: Booted) -> None:
    # Before any volume of the machine's own is there: the contract counts them.
    machine.bring_suite(
        "tests/contract/__init__.py", "tests/contract/volume_subjects.py", "tests/contract/test_volumes.py"
    )
    said = machine.inside(
        "cd /tmp/suite && CAPSULE_TEST_POOL=capsule/pool PYTHONPATH=/tmp/suite nsenter -t 1 -m -- "
        "python3 -B -m pytest --noconftest -p no:cacheprovider -W ignore -q -k 'thin and not twin and not sparse' --rootdir /tmp/suite "
        "/tmp/suite/tests/contract/test_volumes.py 2>&1; true",
        timeout=1200,
    )
    assert re.search(r"\d+ passed", said) and "failed" not in said and "error" not in said.lower(), said[-6000:]


def test_a_container_with_a_volume_runs(machine: Booted) -> None:
    machine.run_counter()
    assert machine.good("exec", "counter", "--", "cat", "/data/ups") == "up\n"


def test_a_container_has_the_limits_that_it_is_promised_and_is_not_spared_where_memory_runs_out(
    machine: Booted,
) -> None:
    inotify = "/proc/sys/fs/inotify/max_user_instances /proc/sys/fs/inotify/max_user_watches"
    # Of the first process: Go raises the soft one in whatever runc begins beside it, unless runc lowers it behind that.
    script = f"grep 'open files' /proc/1/limits; cat {inotify} /proc/1/oom_score_adj"
    said = machine.good("exec", "counter", "--", "sh", "-c", script)
    assert said.split() == ["Max", "open", "files", "1024", "65536", "files", "8192", "1048576", "0"]


def test_the_debug_container_of_clients_in_the_field_sees_the_machine(machine: Booted) -> None:
    """wire-contract.md: it binds what must exist here, and looks through the machine's own programs."""
    manifest = (FIELD / "privileged.yaml").read_text().replace("docker.io/library/alpine:3.20", "demo:1")
    machine.apply(manifest, "--wait", timeout=400)
    script = (
        "test -S /run/capsule/*/containerd.sock; test -x /usr/sbin/lvm; test -d /sys/block/vda; "
        "ls /perm/journal/data.mdb /dev/mapper/capsule-perm; cat /proc/1/comm /proc/1/oom_score_adj"
    )
    assert machine.good("exec", "-q", "capsule-debug", "--", "sh", "-ec", script).splitlines() == [
        "/dev/mapper/capsule-perm",
        "/perm/journal/data.mdb",
        "init",
        "-900",
    ]
    machine.good("delete", "capsule-debug", "--yes")


def test_a_microvm_with_a_volume_runs_with_kvm_and_is_reached_by_vsock(machine: Booted) -> None:
    machine.good("volume", "create", "its", "64MiB")
    machine.apply(ISOLATED, "--wait", "--timeout", MICROVM_S, timeout=400)
    assert machine.data("get", "isolated")["status"]["accelerator"] == "kvm"
    assert "-cloud-amd64" in machine.good("exec", "isolated", "--", "uname", "-r")
    assert machine.good("exec", "isolated", "--", "cat", "/data/ups") == "up\n"
    monitor = machine.inside("tr '\\0' ' ' < /proc/$(pidof qemu-system-x86_64)/cmdline")
    assert "-accel kvm" in monitor and "vhost-vsock-device,guest-cid=" in monitor
    assert "capsule.agent" not in monitor


def test_pid_1_is_small_alone_and_holds_the_watchdog(machine: Booted) -> None:
    said = machine.inside(
        "grep VmRSS /proc/1/status; ls -l /proc/1/fd; cat /sys/class/watchdog/watchdog0/state; "
        "cat /proc/[0-9]*/stat | awk '$3 == \"Z\"' | wc -l; mount"
    )
    assert int(re.search(r"VmRSS:\s+(\d+) kB", said)[1]) < 12 * 1024  # type: ignore[index]
    assert "/dev/tty0" in said and "/dev/ttyS0" in said
    assert "/dev/watchdog" in said and "\nactive\n" in said
    assert "/dev/mapper/capsule-perm on /perm " in said and "/dev/mapper/capsule-journal on /perm/journal " in said


def test_a_daemon_that_crashes_comes_back_and_tells_while_workloads_run_on(machine: Booted) -> None:
    machine.ctl("capsule", "debug", "-q", "--", "chroot", "/host", "sh", "-c", "kill -SEGV $(cat /perm/capsuled.pid)")

    def crashes() -> list[str]:
        done = machine.ctl("history", "--type", "daemon.crashed")
        return [line for line in done.stdout.splitlines() if "daemon.crashed" in line] if done.returncode == 0 else []

    machine.until(crashes, "the crash is in the history")
    (told,) = crashes()
    assert "SIGSEGV" in told
    for name in ("counter", "isolated"):
        status = machine.data("get", name)["status"]
        assert status["phase"] == "WORKLOAD_PHASE_RUNNING" and status.get("restarts", 0) == 0
        assert machine.good("exec", name, "--", "cat", "/data/ups") == "up\n"


def test_a_microvm_that_is_stopped_has_written_out_its_volume(machine: Booted) -> None:
    machine.good("exec", "isolated", "--", "sh", "-c", "echo bye > /data/last")
    machine.good("stop", "isolated", timeout=200)
    machine.good("wait", "isolated", "--for", "stopped", "--timeout", "120", timeout=200)
    status = machine.data("get", "isolated")["status"]
    assert (status["exitCode"], status["message"]) == (0, "exited with code 0")
    device = machine.inside("ls /dev/capsule/vol-its.*").strip()
    assert machine.inside(f"debugfs -R 'cat /last' {device} 2>/dev/null") == "bye\n"


def test_a_reboot_ends_in_order_and_everything_comes_back(machine: Booted) -> None:
    before = machine.data("capsule", "info")["bootId"]
    machine.inside("echo 127.0.0.1:50001 >/perm/capsule/metrics")
    machine.good("capsule", "reboot", "--yes", "--timeout", "600", timeout=700)
    assert machine.data("capsule", "info")["bootId"] != before
    assert "serving on 0.0.0.0:50000" in machine.good("capsule", "logs", "--boot", "-1")
    machine.good("wait", "counter", "--for", "running", "--timeout", "300", timeout=400)
    types = [one["type"] for one in machine.history()]
    order = ["machine.end_requested", "daemon.stopped", "machine.halted", "daemon.started"]
    assert [one for one in types if one in order][-len(order) :] == order
    assert machine.good("exec", "counter", "--", "cat", "/data/ups") == "up\nup\n"
    assert machine.data("capsule", "info")["metrics"] == "http://127.0.0.1:50001/metrics"
    assert 'mode="os"' in machine.inside("busybox wget -qO- http://127.0.0.1:50001/metrics")


def test_a_machine_that_lost_its_power_comes_back_whole(machine: Booted) -> None:
    # What was not forced onto the disk may be lost with the power; what was must be there.
    before = machine.good("exec", "counter", "--", "sh", "-c", "sync; cat /data/ups")
    machine.pull_the_plug()
    machine.switch_on(noting=True)
    comes_back_whole(machine)
    assert machine.good("exec", "counter", "--", "cat", "/data/ups") == f"{before}up\n"


def comes_back_whole(machine: Booted) -> None:
    """After a loss of its power."""
    machine.until_shown(r"claim +adopted")
    machine.until(machine.is_up, "the boot is complete")
    machine.good("wait", "counter", "--for", "running", "--timeout", "300", timeout=400)
    started = [line for line in machine.good("history").splitlines() if "daemon.started" in line]
    assert "before: power-lost" in started[-1]
    machine.good("journal", "verify")


def test_what_was_answered_before_a_power_cut_is_there_after_it(machine: Booted) -> None:
    machine.good("volume", "create", "written", "64MiB")
    machine.apply(WRITER, "--wait")
    answered: list[str] = []

    def call() -> None:
        """One call after the other, until nobody answers any more."""
        for number in itertools.count():
            if machine.ctl("volume", "create", f"cut-{number}", "16MiB").returncode:
                return
            answered.append(f"cut-{number}")

    with ThreadPoolExecutor() as beside:
        calling = beside.submit(call)
        machine.until(lambda: len(answered) >= 5, "calls are answered")
        *_, synced = machine.good("logs", "writer").split()
        entries = machine.history()
        seed = random.randrange(1 << 32)
        lost = machine.lose_power(seed)
        calling.result()
    print(f"seed {seed}: {lost}")
    machine.switch_on()
    comes_back_whole(machine)
    assert machine.history()[: len(entries)] == entries
    assert {"written", *answered} <= set(machine.good("volume", "list", "-o", "name").split())
    phases = {one["name"]: one["phase"] for one in machine.data("volume", "list")}
    assert {phases[name] for name in answered} == {"ready"}
    lines = machine.good("exec", "writer", "--", "cat", "/data/lines").split()
    assert lines[: int(synced)] == [str(number + 1) for number in range(int(synced))]
    assert "repaired" not in machine.ctl("capsule", "info").stderr
    assert "needs_check" not in machine.inside("dmsetup status capsule-pool-tpool")


def test_a_card_that_is_plugged_in_gets_its_driver(machine: Booted) -> None:
    assert "e1000e" not in machine.inside("cat /proc/modules")
    machine.monitor("device_add", driver="e1000e", bus="free-port", id="card")
    machine.until(lambda: "eth1" in machine.inside("ls /sys/class/net"), "there is a second card")
    assert machine.inside("readlink /sys/class/net/eth1/device/driver").strip().endswith("/e1000e")
    machine.monitor("device_del", id="card")
    machine.until(lambda: "eth1" not in machine.inside("ls /sys/class/net"), "the card is gone")


def test_ctrl_alt_del_starts_it_anew_in_order(machine: Booted) -> None:
    before = machine.data("capsule", "info")["bootId"]
    machine.monitor("send-key", keys=[{"type": "qcode", "data": key} for key in ("ctrl", "alt", "delete")])
    machine.until_shown("capsule: the machine starts anew")

    def anew() -> bool:
        return machine.is_up() and machine.data("capsule", "info")["bootId"] != before

    machine.until(anew, "the boot is complete", BOOT_S)
    types = [one["type"] for one in machine.history()]
    order = ["daemon.stopped", "machine.halted", "daemon.started"]
    assert [one for one in types if one in order][-len(order) :] == order


def test_sigterm_to_pid_1_switches_it_off(machine: Booted) -> None:
    machine.ctl("capsule", "debug", "-q", "--", "chroot", "/host", "kill", "-TERM", "1")
    machine.until_off()
    assert "capsule: the machine is off" in machine.console
    assert Path(machine.place / "serial").read_bytes().rstrip().endswith(b"Power down")
