"""The driver of microVMs for tests, on a private containerd: real monitors, real guests."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from capsuled.processes import beside, outcome, reaped, run
from effects.images.leases import Leases
from effects.microvms.acceleration import Acceleration
from effects.microvms.agents import Agents
from effects.microvms.booting import Booting
from effects.microvms.guest_image import BUILT, GuestFiles
from effects.microvms.images import PayloadImages
from effects.microvms.places import Key, Places, RunFiles
from effects.microvms.program import Programs
from effects.microvms.qemu_driver import QemuDriver
from effects.payloads.file_disks import FileDisks
from tests.support.runtime import Runtime
from tools.place import ROOT

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
PROBED = ROOT / "build" / "acceleration.json"
"""What a probe found, for all tests: it takes ten seconds where KVM is there in name only."""


class MicroVMs:
    """One daemon's life of the driver; `again` is the next life on the same machine."""

    def __init__(self, made: Runtime) -> None:
        self._made = made
        leases, unpacker = Leases(made.connection), made.images.unpacker
        self.places = Places(made.directory / "microvms", made.run / "microvms", made.logs)
        self.disks = FileDisks(made.connection, unpacker, leases, outcome, made.directory / "payloads", made.run / "p")
        images = PayloadImages(made.connection, unpacker, leases, self.disks)
        guest = GuestFiles()
        self.acceleration = Acceleration(PROBED, self.places, Programs(run), guest, beside, reaped, BOOT)
        self.agents = Agents(made.run / "agents", lambda key, why: self.driver.silent(key, why))
        self.booting = Booting(self.places, images, guest, outcome, 24)
        self.driver = QemuDriver(
            self.places,
            self.booting,
            self.acceleration,
            self.agents,
            beside,
            reaped,
            made.cgroup,
            BOOT,
        )

    def files(self, name: str, uid: int, number: int) -> RunFiles:
        """Of a run."""
        return self.places.of(Key(name, uid, number))

    def another(self) -> "MicroVMs":
        """A life beside this one, as when a daemon that was killed has a launcher that has not heard of it yet."""
        return MicroVMs(self._made)

    async def again(self) -> "MicroVMs":
        """This life ends, and the machines live on."""
        await self.close()
        return self.another()

    async def close(self) -> None:
        """Let go of all that lives."""
        self.driver.close()
        await self.agents.close()
        await self.disks.close()


@asynccontextmanager
async def microvms(made: Runtime) -> AsyncIterator[MicroVMs]:
    """A driver; everything that it ran is ended with it."""
    machines = MicroVMs(made)
    await machines.disks.sweep()
    try:
        yield machines
    finally:
        last = await machines.again()
        for name, uid in {(one.name, one.uid) for one in await last.driver.observe()}:
            await last.driver.remove_workload(name, uid)
        await last.close()


def build_guest_image() -> None:
    """It is there, whole; in a tree in which nobody has built it yet, that takes a minute."""
    if not (BUILT / "manifest").exists():
        subprocess.run([sys.executable, "-m", "guest.image"], cwd=ROOT, check=True, capture_output=True)
