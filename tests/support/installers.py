"""An installer's machine in numbers, and an installer that serves, on a port of its own and without a disk."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from capsuled.addresses import Listen
from capsuled.boot.disks import Disk, problem_of
from capsuled.identity import Identity
from capsuled.installed import Installed
from capsuled.installer.installation import InstallFailed, Step
from capsuled.installer.server import serving
from capsuled.installer.service import InstallService
from capsuled.installer.targets import Target
from capsuled.layout import Layout
from capsuled.tls import Certificate, load_or_make_certificate

GIB = 1 << 30
LEAST = 4 * GIB
ME = Identity("2ad99090-a60b-4666-a937-e5842bde9915", b"k" * 32)
CERTIFICATE = Certificate(b"key", b"certificate", "f" * 64)
KEY = b"p" * 32


def target(device: str, size_gib: int = 20, **about: Any) -> Target:
    disk = Disk(device, size_gib * GIB)
    return Target(disk, about.pop("holds", "nothing that is known"), problem=problem_of(disk, LEAST), **about)


class TwinMachine:
    booted, least_bytes = "/dev/sda", LEAST

    def __init__(self, fails: str = "") -> None:
        self.installed: list[Installed] = []
        self.fails = fails
        self.more: tuple[Target, ...] = ()
        self.hold: asyncio.Event | None = None
        self.stopped = False

    async def targets(self) -> tuple[Target, ...]:
        small, other = target("/dev/vdb", 1), target("/dev/vdc", holds="a capsule", is_capsule=True)
        return (target("/dev/vda"), small, other, *self.more)

    async def install(self, disk: str, installed: Installed, tell: Callable[[Step], None]) -> None:
        tell(Step("system", 40, "copied"))
        try:
            if self.hold is not None:
                await self.hold.wait()
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.stopped = True
            raise
        if self.fails:
            raise InstallFailed(self.fails)
        tell(Step("boot loader", 100, "read again"))
        self.installed.append(installed)


@contextmanager
def installer(directory: Path, machine: TwinMachine) -> Iterator[tuple[str, Certificate]]:
    """Its address and the certificate that it shows."""
    layout = Layout(directory, directory / "run")
    certificate = load_or_make_certificate(directory / "tls.pem", ME.capsule_id)
    loop, found = asyncio.new_event_loop(), threading.Event()
    stopping = asyncio.Event()
    addresses: list[str] = []

    async def serve() -> None:
        service = InstallService(machine, ME, certificate, lambda: None, lambda: None)
        listen = Listen(("127.0.0.1:0",), asked=True)
        async with serving(service, layout, certificate, print, listen) as bound:
            addresses.extend(bound)
            found.set()
            await stopping.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert found.wait(30)
    try:
        yield addresses[0], certificate
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(30)
        loop.close()
