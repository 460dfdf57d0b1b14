"""microvm.start: from Apply to a payload that runs, for a connected client, its image a disk already, against a bare
monitor with the same kernel and a static first process, to that one's first line; microvm.overhead: what the
monitor takes of the machine beside the guest's memory, against that bare monitor's; guest.image: what guests boot.
"""

import gzip
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.client import Client
from bench.microvms.bare import MEMORY_MIB, command
from bench.peers import IMAGE, fresh
from bench.report import Row, in_turn, row
from capsule.v1 import workload_pb2 as pb
from effects.microvms.guest_image import BUILT
from guest.image.archive import packed
from guest.image.tree import PROGRAM, Tree
from tests.support.daemon import Daemon, daemon
from tests.support.microvms import build_guest_image
from tests.support.site import site
from tools.demo_image import archive

ROUNDS = 3
LIMIT_MIB = 90
_LINE = b"the first line"
_INIT = b"#!/bin/busybox sh\n/bin/busybox echo " + _LINE + b"\n/bin/busybox sleep 1000000\n"


def rows(directory: Path) -> list[Row]:
    """All three."""
    build_guest_image()
    image, initrd = directory / "demo.tar", directory / "initrd"
    image.write_bytes(archive(IMAGE))
    initrd.write_bytes(gzip.compress(_static(), 1))
    with site() as place, daemon(inside=place.inside) as machine, Client(machine.state / "capsule.sock") as client:
        machine.good("image", "push", str(image))
        _accelerated(client, machine)

        def ours() -> float:
            name = fresh("ours")
            begun = time.perf_counter()
            client.run([_idle(name)])
            milliseconds = (time.perf_counter() - begun) * 1e3
            client.delete([name])
            return milliseconds

        def bare() -> float:
            with _bare(initrd, machine) as (_, milliseconds):
                return milliseconds

        for warm in (ours, bare):
            warm()
        start, peer = in_turn(ROUNDS, ours, bare)
        client.run([_idle("beside")])
        machine.good("exec", "beside", "--", "true")  # its agent is there, and has served
        beside = _beside(machine.status("beside")["pid"])
        client.delete(["beside"])  # each alone: pages of the kernel's file are counted by how many have them
        with _bare(initrd, machine) as (pid, _):
            beside_bare = _beside(pid)
    mib = 1 << 20
    return [
        row("microvm.start", start, "ms", "qemu, a static init", peer, "<=2.5"),
        row("guest.image", _image_bytes() / mib, "MiB", "limit", LIMIT_MIB, "<=1.0"),
        row("microvm.overhead", beside / mib, "MiB", "qemu, a static init", beside_bare / mib, "<=1.3"),
    ]


def _image_bytes() -> int:
    """Kernel, initramfs and root file system."""
    return sum(file.stat().st_size for file in BUILT.iterdir() if file.is_file() and file.name != "manifest")


def _accelerated(client: Client, machine: Daemon) -> None:
    """The first microVM of a boot finds out what runs it."""
    client.run([_idle("first")])
    client.delete(["first"])


def _idle(name: str) -> pb.Workload:
    spec = pb.MicroVMSpec(
        image="demo:1",
        command=["sleep", "1000000"],
        vcpus=1,
        memory_mib=MEMORY_MIB,
        stop_grace_seconds=0,
        restart=pb.RESTART_MODE_NEVER,
    )
    return pb.Workload(name=name, kind=pb.WORKLOAD_KIND_MICRO_VM, micro_vm=spec)


def _static() -> bytes:
    tree = Tree()
    tree.file("init", _INIT, PROGRAM)
    tree.file("bin/busybox", Path("/bin/busybox").read_bytes(), PROGRAM)
    tree.directory("dev")
    tree.node("dev/console", 5, 1)
    return packed(tree)


@contextmanager
def _bare(initrd: Path, machine: Daemon) -> Iterator[tuple[int, float]]:
    """A bare monitor, to its guest's first line: its process, and the milliseconds."""
    words = [*command(machine, initrd, "console=ttyS0", "quiet"), "-serial", "stdio"]
    begun = time.perf_counter()
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        said = b""
        while _LINE not in said:
            select.select([process.stdout], [], [])
            part = os.read(process.stdout.fileno(), 4_096)
            assert part, "the bare monitor ended"
            said += part
        yield process.pid, (time.perf_counter() - begun) * 1e3
    finally:
        process.kill()
        process.wait()


def _beside(pid: int) -> int:
    """What a monitor takes beside its guest's memory, which is the one mapping of just that size."""
    total = guest = kib = 0
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if line.startswith("Size:"):
            kib = int(line.split()[1])
        elif line.startswith("Pss:"):
            taken = int(line.split()[1])
            total += taken
            guest += taken if kib == MEMORY_MIB << 10 else 0
    assert guest, "no mapping is the guest's memory"
    return (total - guest) << 10
