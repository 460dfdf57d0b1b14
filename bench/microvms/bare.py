"""A monitor as anybody starts it, with the kernel that our guests have and what runs the processors of ours."""

from pathlib import Path

from capsuled.layout import hosted
from effects.microvms.acceleration import clock_arguments, remembered
from effects.microvms.guest_image import BUILT
from effects.microvms.program import QEMU
from journal.clock import SystemClock
from tests.support.daemon import Daemon

MEMORY_MIB = 256


def command(machine: Daemon, initrd: Path, *arguments: str) -> list[str]:
    """How it is started, for a machine on which a microVM has run: that one found out what runs them. `arguments` are
    further ones of the kernel; what the guest is given beside is up to the caller."""
    found = remembered(hosted(machine.state).acceleration, SystemClock().boot_id)
    assert found is not None, "no microVM has run here yet"
    kvm = found.accelerator == "kvm"
    clock = () if kvm else clock_arguments(Path("/proc/cpuinfo").read_text())
    return [
        QEMU, "-M", "microvm,x-option-roms=off,isa-serial=on,rtc=on",
        "-accel", "kvm" if kvm else "tcg,thread=multi", "-cpu", "host" if kvm else "max",
        "-smp", "1", "-m", f"{MEMORY_MIB}M", "-no-reboot", "-nodefaults", "-no-user-config", "-display", "none",
        "-kernel", str(BUILT / "vmlinux"), "-initrd", str(initrd),
        "-append", " ".join(("panic=-1", *arguments, *clock)),
    ]  # fmt: skip
