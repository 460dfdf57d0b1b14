"""microvm.exec: `true` in a microVM for a connected client of the daemon, against the same by QEMU's own guest agent in
a bare `qemu -M microvm` with the same kernel. That one is a small program in C that knows no users and no terminals."""

import time
from collections.abc import Callable
from pathlib import Path

from bench.client import Client
from bench.microvms.agent_peer import agent_peer
from bench.peers import IMAGE, fresh
from bench.report import Row, in_turn, row
from capsule.v1 import workload_pb2 as pb
from tests.support.daemon import daemon
from tests.support.microvms import build_guest_image
from tests.support.site import site
from tools.demo_image import archive

ROUNDS = 25


def rows(directory: Path) -> list[Row]:
    """The one."""
    build_guest_image()
    image = directory / "demo.tar"
    image.write_bytes(archive(IMAGE))
    with site() as place, daemon(inside=place.inside) as machine, Client(machine.state / "capsule.sock") as client:
        machine.good("image", "push", str(image))
        name = fresh("inside")
        client.run([_sleeper(name)])
        with agent_peer(directory, machine) as peer:
            measures: tuple[Callable[[], float], ...] = (
                lambda: _timed(lambda: client.execute(name, "true")),
                lambda: _timed(lambda: peer.execute("/bin/true")),
            )
            for warm in measures:
                warm()
            ours, theirs = in_turn(ROUNDS, *measures)
        client.delete([name])
    return [row("microvm.exec", ours, "ms", "qemu-ga guest-exec", theirs, "", "a connected client")]


def _sleeper(name: str) -> pb.Workload:
    spec = pb.MicroVMSpec(image=IMAGE, command=["sleep", "1000000"], stop_grace_seconds=0)
    return pb.Workload(name=name, kind=pb.WORKLOAD_KIND_MICRO_VM, micro_vm=spec)


def _timed(step: Callable[[], object]) -> float:
    begun = time.perf_counter()
    step()
    return (time.perf_counter() - begun) * 1e3
