"""The network's driver on a machine of its own, and what tests attach and map there."""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path

from capsuled.processes import run
from effects.network.linux_driver import LinuxNetwork
from effects.network.protocol import Link
from projections.network import Mapping
from tests.support.site import Site, site

WEB, DB = Link("web", 7, "172.20.254.2"), Link("db", 8, "172.20.254.3")
HTTP = Mapping("tcp", 8080, "", WEB.address, 80)


def driver_in(directory: Path, tap_owner: Callable[[str, int], int] = lambda name, uid: 0) -> LinuxNetwork:
    """A driver of the bridge br0, with its links' namespaces in `directory`."""
    return LinuxNetwork(run, directory, "br0", "172.20.254.0/24", "ffee-test", tap_owner)


def on_a_machine(work: Callable[[Path], Coroutine[object, object, None]]) -> None:
    """What is done on a machine of its own, with an empty directory for a driver's namespaces."""
    with site() as machine, tempfile.TemporaryDirectory(prefix="capsule-netns-") as directory:
        machine.on_thread(lambda: asyncio.run(work(Path(directory))))


@contextmanager
def machine_on_a_lan() -> Iterator[tuple[Site, Site, str]]:
    """A machine, its neighbour at the other end of the cable, and a directory for a driver's namespaces."""
    with (
        site() as machine,
        site() as neighbour,
        tempfile.TemporaryDirectory(prefix="capsule-netns-") as directory,
    ):
        machine.join(neighbour, "192.0.2.1/24", "192.0.2.2/24")
        yield machine, neighbour, directory
