"""Everything that runs microVMs, wired: the driver, what reaches into guests, and whether any of it works here."""

import ipaddress
import platform
import re

import msgspec

from capsuled.layout import Layout
from capsuled.microvms import MicroVMs
from capsuled.processes import CommandFailed, beside, narrated, outcome, reaped, run
from effects.errors import DriverError
from effects.host_paths import HostPaths
from effects.microvms.acceleration import Acceleration, remembered
from effects.microvms.agents import Agents
from effects.microvms.booting import Booting
from effects.microvms.copier import MicroVMCopier
from effects.microvms.executor import MicroVMExecutor
from effects.microvms.guest_image import GuestFiles
from effects.microvms.guest_maker import GuestMaker
from effects.microvms.guests import MicroVMGuests
from effects.microvms.places import Key, Places
from effects.microvms.program import Programs, installed
from effects.microvms.protocol import PayloadSource
from effects.microvms.qemu_driver import UNMOUNT_S, QemuDriver
from journal.clock import SystemClock

_ARCHITECTURE = "x86_64"
_BACKEND = "QEMU"
_VERSION = re.compile(rb"version ([0-9.]+)")


class Machines(msgspec.Struct):
    """See above."""

    driver: QemuDriver
    executor: MicroVMExecutor
    copier: MicroVMCopier
    guests: MicroVMGuests
    agents: Agents
    places: Places
    acceleration: Acceleration
    maker: GuestMaker

    async def close(self) -> None:
        """Let go of all of them: they live on."""
        self.driver.close()
        await self.maker.close()
        await self.agents.close()


def microvms_here(layout: Layout) -> MicroVMs:
    """Whether microVMs can run here, and with what, by the files that are there. Which acceleration there is, is not
    known before the first one was to be run in this boot: finding out costs a boot."""
    if platform.machine() != _ARCHITECTURE:
        lacks = f"microVMs need a processor of the kind {_ARCHITECTURE}, and this one is {platform.machine()}"
        return MicroVMs(lacks=lacks)
    try:
        installed()
    except DriverError as error:
        return MicroVMs(lacks=str(error))
    guest = GuestFiles(maker=_maker(layout))
    if lacks := guest.lacks():
        return MicroVMs(lacks=lacks)
    known = remembered(layout.acceleration, SystemClock().boot_id)
    return MicroVMs(_BACKEND, "" if known is None else known.accelerator)


async def with_version(here: MicroVMs) -> MicroVMs:
    """With what the program says of itself: asking it takes as long as loading it, so nobody waits for that at a start.
    One that cannot even say so runs none."""
    try:
        said = _VERSION.search(await run(installed(), "--version"))
    except (DriverError, CommandFailed) as error:
        return MicroVMs(lacks=str(error))
    return msgspec.structs.replace(here, backend=f"{_BACKEND} {said[1].decode() if said else ''}".strip())


def _maker(layout: Layout) -> GuestMaker:
    return GuestMaker(layout.guest, narrated)


def places_of(layout: Layout) -> Places:
    """Where all that belongs to microVMs lies."""
    return Places(layout.microvms, layout.machines, layout.logs)


def make_machines(
    layout: Layout,
    images: PayloadSource,
    cgroup_parent: str,
    subnet: str,
    boot: str,
    unmount_s: float = UNMOUNT_S,
    paths: HostPaths | None = None,
) -> Machines:
    """Nothing is touched before the driver is asked for something."""
    places = places_of(layout)
    programs, maker = Programs(run), _maker(layout)
    guest = GuestFiles(maker=maker)
    acceleration = Acceleration(layout.acceleration, places, programs, guest, beside, reaped, boot)
    driver: QemuDriver

    def silent(key: Key, why: str) -> None:
        driver.silent(key, why)

    agents = Agents(layout.agents, silent)
    prefix = ipaddress.ip_network(subnet).prefixlen
    booting = Booting(places, images, guest, outcome, prefix, paths)
    driver = QemuDriver(places, booting, acceleration, agents, beside, reaped, cgroup_parent, boot, unmount_s)
    return Machines(
        driver,
        MicroVMExecutor(agents),
        MicroVMCopier(agents),
        MicroVMGuests(agents),
        agents,
        places,
        acceleration,
        maker,
    )
