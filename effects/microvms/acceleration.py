"""Whether guests run on the processor itself or on a translation of it: found out once for each boot of the machine, by
booting one.

That /dev/kvm is there proves nothing: on a machine that is itself virtual, a guest's kernel may abort, or hang for half
a minute without its monitor ending. So a kernel is booted with it, and must go on until its first process. What was
found is remembered beside the boot's id.
"""

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from effects.alive import killed
from effects.errors import DriverError
from effects.microvms.command_line import INITRD, KERNEL, Accelerator, Machine, command_line, descriptors
from effects.microvms.confinement import LIMITS, user_of
from effects.microvms.launching import Order, Start, launch
from effects.microvms.monitor import Reaped
from effects.microvms.opening import opening
from effects.microvms.places import Places
from effects.microvms.program import Program, Programs
from effects.microvms.protocol import GuestImage, GuestSource

log = logging.getLogger(__name__)

PROBE_S = 10.0
"""Without a word of the kernel's. With real acceleration it is at its first process within a second; where the
processor is itself emulated, or has much to do, it takes its time, and goes on saying where it is."""
LONGEST_PROBE_S = 60.0
_DEVICE = Path("/dev/kvm")
_CPUINFO = Path("/proc/cpuinfo")
_ALIVE = re.compile(rb"Run /init as init process")
_PROBE_MIB = 256
_RATED = re.compile(r"^model name\s*:.*@ ([0-9.]+)GHz", re.MULTILINE)
_MEASURED = re.compile(r"^cpu MHz\s*:\s*([0-9.]+)", re.MULTILINE)


class Chosen(msgspec.Struct, frozen=True):
    """What microVMs run with: `arguments` are for their kernels."""

    accelerator: Accelerator
    program: Program
    arguments: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True):
    """What was found out: `why` there is no hardware virtualisation, where there is none."""

    boot: str
    accelerator: Accelerator
    why: str = ""


class Acceleration:
    """Asks at most once at a time. `state` is the file that remembers, `boot` the machine's boot id; `found` hears."""

    def __init__(
        self,
        state: Path,
        places: Places,
        programs: Programs,
        guest: GuestSource,
        start: Start,
        reaped: Reaped,
        boot: str,
        device: Path = _DEVICE,
    ) -> None:
        self._state = state
        self._places = places
        self._programs = programs
        self._guest = guest
        self._start = start
        self._reaped = reaped
        self._boot = boot
        self._device = device
        self._asking = asyncio.Lock()
        self.found: Callable[[Finding], None] = lambda finding: None

    async def chosen(self) -> Chosen:
        """How a microVM is run here. Raises DriverError."""
        found = await self.finding()
        program = await self._programs.find(found.accelerator)
        arguments = () if found.accelerator == "kvm" else clock_arguments(_CPUINFO.read_text())
        return Chosen(found.accelerator, program, arguments)

    async def finding(self) -> Finding:
        """The same, found out where nobody has. Raises DriverError."""
        async with self._asking:
            known = remembered(self._state, self._boot)
            if known is not None:
                return known
            why = await self._why_not()
            found = Finding(self._boot, "tcg" if why else "kvm", why)
            log.info("microVMs run %s", f"without hardware virtualisation: {why}" if why else "with KVM")
            with contextlib.suppress(OSError):  # a full disk: it is found out again
                self._state.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._state.write_bytes(msgspec.json.encode(found))
            self.found(found)
            return found

    async def _why_not(self) -> str:
        """Why KVM cannot be used; empty where it can."""
        if not self._device.exists():
            return f"there is no {self._device}: this kernel or processor has none, or the firmware switched it off"
        guest = await self._guest.find()
        program = await self._programs.find("kvm")
        try:
            async with asyncio.timeout(LONGEST_PROBE_S):
                return await self._boots(program, guest)
        except TimeoutError:
            return "a guest's kernel did not come up with it"
        except (DriverError, OSError) as error:
            return f"a monitor cannot use it: {error}"

    async def _boots(self, program: Program, guest: GuestImage) -> str:
        self._places.prepare()
        found: list[int] = []
        console, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            with opening() as opened:
                said, log_end = opened.words()
                os.close(said)
                arguments = ("console=ttyS0", "panic=-1", "loglevel=7")
                machine = Machine("probe", 1, _PROBE_MIB, arguments, (), write_end)
                order = Order(
                    command_line(program.path, "kvm", machine),
                    user_of("", 0),
                    str(self._places.root),
                    (*program.files, (str(guest.kernel), KERNEL), (str(guest.initrd), INITRD)),
                    (),
                    LIMITS,
                    log_end,
                    kvm=True,
                    dies_with_us=True,  # nobody writes down that it is there
                )
                keep = (log_end, *descriptors(machine))
                await launch(self._start, order, keep, lambda pid: found.append(os.pidfd_open(pid)))
            os.close(write_end)
            write_end = -1
            return "" if await _seen(console, PROBE_S) else "a guest's kernel gave up with it"
        finally:
            for fd in (console, write_end):
                if fd >= 0:
                    os.close(fd)
            for process in found:
                await asyncio.shield(buried(process, self._reaped))


def remembered(state: Path, boot: str) -> Finding | None:
    """What was found in this boot of the machine, if anybody has asked."""
    try:
        found = msgspec.json.decode(state.read_bytes(), type=Finding)
    except (OSError, msgspec.MsgspecError):
        return None
    return found if found.boot == boot else None


async def buried(process: int, reaped: Reaped) -> None:
    """Kill what a pidfd stands for, hear of its end, and close it."""
    try:
        await killed(process, None)
        reaped(process)
    finally:
        os.close(process)


async def _seen(console: int, silence_s: float) -> bool:
    """Whether a kernel says that it has come to its first process, before its console ends. Raises TimeoutError where
    it says nothing for too long."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(console, readable.set)
    text = b""
    try:
        while not _ALIVE.search(text):
            async with asyncio.timeout(silence_s):
                await readable.wait()
            readable.clear()
            with contextlib.suppress(BlockingIOError):
                part = os.read(console, 4_096)
                if not part:
                    return False
                text = text[-4_096:] + part
        return True
    finally:
        loop.remove_reader(console)


def clock_arguments(cpuinfo: str) -> tuple[str, ...]:
    """How fast the machine's time stamp counter runs, for a kernel that would hang finding it out on an emulated
    timer; nothing where the machine does not say."""
    rated, measured = _RATED.search(cpuinfo), _MEASURED.search(cpuinfo)
    if rated is not None:
        return (f"tsc_early_khz={round(float(rated[1]) * 1_000_000)}",)
    return () if measured is None else (f"tsc_early_khz={round(float(measured[1]) * 1_000)}",)
