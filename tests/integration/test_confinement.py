"""A microVM's monitor from inside: what it is, sees and may, and what is left of it after each way of dying.

One machine is booted for all of it, and one more to be killed.
"""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from effects.microvms.confinement import user_of
from effects.runs.names import container_id
from effects.runs.protocol import RunSpec
from journal.specs import MicroVM
from projections.observations import ObservedRun
from tests.support.microvms import MicroVMs, build_guest_image, microvms
from tests.support.runtime import Runtime, chunks, runtime
from tools.demo_image import archive

pytestmark = [pytest.mark.real, pytest.mark.needs("qemu-system-x86_64")]

SERVE = ("sh", "-c", "trap 'exit 143' TERM; echo ready; while :; do sleep 1 & wait $!; done")
SECRET = "xyzzy-4711"


class Observed:
    """What was seen of the first machine while it lived, and of both when they had ended."""

    def __init__(self) -> None:
        self.run: ObservedRun
        self.adopted: tuple[ObservedRun, ...]
        self.stopped: ObservedRun | None
        self.killed: ObservedRun
        self.status: dict[str, str]
        self.namespaces: dict[str, str]
        self.files: set[str]
        self.wanted: set[str]
        self.mounts: list[str]
        self.links: str
        self.descriptors: dict[int, str]
        self.limits: str
        self.environment: bytes
        self.words: str
        self.on_disk: bytes
        self.memory_limits: list[int]
        self.left: dict[str, list[str]] = {}


@pytest.fixture(scope="module")
def seen() -> Iterator[Observed]:
    build_guest_image()
    found = Observed()

    async def main() -> None:
        async with asyncio.timeout(300), runtime() as made, microvms(made) as machines:
            await observe(made, machines, found)

    asyncio.run(main())
    yield found


async def observe(made: Runtime, machines: MicroVMs, found: Observed) -> None:
    (image,) = await made.images.import_archive(chunks(archive("demo:1")))

    def run(number: int) -> RunSpec:
        fields: dict[str, Any] = {"command": SERVE, "env": (("PASSWORD", SECRET),), "vm": MicroVM()}
        return RunSpec("web", 7, 7, number, image.platform_digest, **fields)

    found.run = await machines.driver.ensure_running(run(1))
    pid, files = found.run.pid, machines.files("web", 7, 1)
    proc = Path(f"/proc/{pid}")
    lines = (line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line)
    found.status = {name: " ".join(value.split()) for name, value in lines}
    found.namespaces = {one: os.readlink(proc / "ns" / one) for one in ("mnt", "net", "pid", "ipc", "uts")}
    found.files = {
        os.path.join(top, name).removeprefix(f"{proc}/root")
        for top, _, names in os.walk(proc / "root")
        for name in names
    }
    chosen = await machines.acceleration.chosen()
    found.wanted = {place for _, place in chosen.program.files} | {"/kernel", "/initrd"}
    found.mounts = [line.split(" - ")[0].split()[5] for line in (proc / "mountinfo").read_text().splitlines()]
    found.links = (proc / "net/dev").read_text()
    found.descriptors = {int(one): os.readlink(proc / "fd" / one) for one in os.listdir(proc / "fd")}
    found.limits = (proc / "limits").read_text()
    found.environment = (proc / "environ").read_bytes()
    found.words = (proc / "cmdline").read_bytes().decode()
    found.on_disk = b"".join(one.read_bytes() for one in files.directory.iterdir())
    limits = [one / name for one in groups_of(made, 1) for name in ("memory.max", "memory.limit_in_bytes")]
    found.memory_limits = [int(path.read_text()) for path in limits if path.exists()]
    # The daemon dies, and another one comes.
    second = await machines.again()
    found.adopted = await second.driver.observe()
    found.stopped = await second.driver.stop("web", 7, 1, grace_ms=20_000)
    await second.driver.remove_run("web", 7, 1)
    found.left["stopped"] = left(made, machines, pid, 1)
    stream = second.driver.exits()
    await anext(stream)
    other = await second.driver.ensure_running(run(2))
    os.kill(other.pid, signal.SIGKILL)
    report = await anext(stream)
    assert isinstance(report, ObservedRun)
    found.killed = report
    await second.driver.remove_workload("web", 7)
    found.left["killed"] = [*left(made, machines, other.pid, 2), *map(str, machines.places.runs())]
    await second.close()


def groups_of(made: Runtime, number: int) -> list[Path]:
    path = f"{made.cgroup}/{container_id('web', 7, number)}".lstrip("/")
    root = Path("/sys/fs/cgroup")
    return [one for one in (root / path, *(top / path for top in root.iterdir())) if one.is_dir()]


def left(made: Runtime, machines: MicroVMs, pid: int, number: int) -> list[str]:
    """Whatever is still there of a run that was removed; nothing, if all is well."""
    files = machines.files("web", 7, number)
    mounts = [
        line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(made.run) in line.split()[4]
    ]
    mounts = [line for line in mounts if "microvms" in line]
    there = [str(path) for path in (files.directory, files.agent, files.power, Path(f"/proc/{pid}")) if path.exists()]
    return [*there, *mounts, *map(str, groups_of(made, number))]


def test_a_monitor_is_a_user_of_its_own_without_a_capability(seen: Observed) -> None:
    number = str(user_of("web", 7))
    assert seen.status["Uid"] == seen.status["Gid"] == " ".join([number] * 4) and seen.status["Groups"] == ""
    sets = [seen.status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")]
    assert sets == ["0" * 16] * 5
    assert seen.status["NoNewPrivs"] == "1" and seen.status["Seccomp"] == "2"


def test_it_shares_no_namespace_in_which_there_is_anything(seen: Observed) -> None:
    for name, namespace in seen.namespaces.items():
        assert namespace != os.readlink(f"/proc/self/ns/{name}")
    assert [line.split(":")[0].strip() for line in seen.links.splitlines()[2:]] == ["lo"]


def test_its_root_has_its_own_files_and_nothing_can_be_written(seen: Observed) -> None:
    assert seen.files == seen.wanted
    assert seen.mounts and all("ro" in options.split(",") for options in seen.mounts)


def test_what_it_has_open_is_what_it_was_handed(seen: Observed) -> None:
    places = {Path(target).name for target in seen.descriptors.values() if target.startswith("/")}
    kinds = {target.partition(":")[0] for target in seen.descriptors.values() if not target.startswith("/")}
    assert kinds <= {"pipe", "socket", "anon_inode"}
    assert {"layer.7.raw", "7.1.out", "7.1.err", "7.1.serial", "end", "lock"} <= places
    ours = {
        "layer.7.raw",
        "7.1.out",
        "7.1.err",
        "7.1.serial",
        "end",
        "lock",
        "root.squashfs",
        "",
        "memfd:run (deleted)",
    }
    assert {one for one in places if not one.endswith((".img", ".squashfs")) and one not in ours} == set()


def test_it_has_limits_and_knows_nothing(seen: Observed) -> None:
    limits = {line[:26].strip(): line[26:].split()[:2] for line in seen.limits.splitlines()[1:]}
    assert limits["Max core file size"] == ["0", "0"] and limits["Max open files"] == ["1024", "1024"]
    assert seen.environment == b""
    assert SECRET not in seen.words and SECRET.encode() not in seen.on_disk


def test_it_lives_in_the_cgroup_of_its_run(seen: Observed) -> None:
    (limit,) = seen.memory_limits
    assert 256 << 20 < limit < 1 << 30


def test_it_outlives_the_daemon_and_ends_when_the_next_one_asks(seen: Observed) -> None:
    assert seen.adopted == (seen.run,)
    assert seen.stopped is not None and (seen.stopped.exit_code, seen.stopped.fault) == (143, None)
    assert seen.left["stopped"] == []


def test_what_another_hand_killed_says_so_and_leaves_nothing(seen: Observed) -> None:
    assert (seen.killed.exit_code, seen.killed.fault) == (137, "killed")
    assert seen.left["killed"] == []
