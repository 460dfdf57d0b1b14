"""The command line of a microVM's monitor: the machine, and a descriptor for everything behind its devices. Pure.

Source: QEMU 7.2, qemu(1) and docs/system/i386/microvm. A descriptor N that QEMU shall open by a name is in a set of its
own, N, and called /dev/fdset/N.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

Accelerator = Literal["kvm", "tcg"]

FIRMWARE = "/firmware"
KERNEL, INITRD = "/kernel", "/initrd"
"""Places in the monitor's own root."""
AGENT, STDOUT, STDERR, END = "capsule.agent", "capsule.stdout", "capsule.stderr", "capsule.end"
"""Ports, by the names that the guest finds them by."""
TRANSLATION_MIB = 48
"""For translated code, where there is no hardware virtualisation: what does not fit is translated again. Measured up to
the agent's first answer: 128 MiB save 7 % of the processor time and take 60 MiB more of the machine; 32 cost 24 %."""
_SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
_MAC_PREFIX = (0x02, 0xCA)
"""Locally administered."""


class Disk(msgspec.Struct, frozen=True):
    """A disk that the guest tells by its `serial`, on descriptor `fd`: a file, or a block `device`, as a volume of a
    pool is, which QEMU takes by another driver."""

    serial: str
    fd: int
    read_only: bool = False
    device: bool = False


class Machine(msgspec.Struct, frozen=True):
    """What the guest finds. `ports` are descriptors that take what it writes, by the ports' names; its agent is behind
    `agent`, a listening socket, or has a number on `vsock`, with the device that has it; `serial` takes the console;
    `tap` is its link, None without a network, and `address` its own on it. `power` is a listening socket on which the
    machine can be asked to switch off, for a guest without an agent."""

    title: str
    vcpus: int
    memory_mib: int
    kernel_arguments: tuple[str, ...]
    disks: tuple[Disk, ...]
    serial: int
    initrd: bool = True
    ports: tuple[tuple[str, int], ...] = ()
    agent: int | None = None
    vsock: tuple[int, int] | None = None
    tap: int | None = None
    address: str = ""
    power: int | None = None


def command_line(program: str, accelerator: Accelerator, machine: Machine) -> tuple[str, ...]:
    """The words, the program first."""
    return (program, *_machine(accelerator, machine), *_devices(machine), "-sandbox", _SANDBOX)


def descriptors(machine: Machine) -> tuple[int, ...]:
    """All that must be open in the monitor."""
    vsock = None if machine.vsock is None else machine.vsock[1]
    given = (machine.serial, machine.agent, vsock, machine.tap, machine.power)
    named = (*(disk.fd for disk in machine.disks), *(fd for _, fd in machine.ports))
    return (*named, *(fd for fd in given if fd is not None))


def mac_of(address: str) -> str:
    """Of the workload's link: as stable, and as unlike another's, as its address on the bridge."""
    numbers = (*_MAC_PREFIX, *(int(part) for part in address.split(".")))
    return ":".join(f"{number:02x}" for number in numbers)


def _machine(accelerator: Accelerator, machine: Machine) -> Iterator[str]:
    yield from ("-name", machine.title)
    yield from ("-L", FIRMWARE)
    yield from ("-M", "microvm,x-option-roms=off,isa-serial=on,rtc=on")
    yield from ("-accel", "kvm" if accelerator == "kvm" else f"tcg,thread=multi,tb-size={TRANSLATION_MIB}")
    yield from ("-cpu", "host" if accelerator == "kvm" else "max")
    yield from ("-smp", str(machine.vcpus))
    yield from ("-m", f"{machine.memory_mib}M")
    yield from ("-no-reboot", "-nodefaults", "-no-user-config")
    yield from ("-display", "none")
    yield from ("-kernel", KERNEL)
    if machine.initrd:
        yield from ("-initrd", INITRD)
    yield from ("-append", " ".join(machine.kernel_arguments))


def _devices(machine: Machine) -> Iterator[str]:
    yield from _file("console", machine.serial)
    yield from ("-serial", "chardev:console")
    for number, disk in enumerate(machine.disks):
        yield from ("-add-fd", f"fd={disk.fd},set={disk.fd}")
        options = "read-only=on" if disk.read_only else "discard=unmap"
        name = f"/dev/fdset/{disk.fd}"
        yield from ("-blockdev", f"driver=raw,node-name=disk{number},{options},{_backing(disk, name)}")
        yield from ("-device", f"virtio-blk-device,drive=disk{number},serial={disk.serial}")
    if machine.agent is not None or machine.ports:
        yield from ("-device", "virtio-serial-device")
    if machine.agent is not None:
        yield from ("-chardev", f"socket,id=agent,fd={machine.agent},server=on,wait=off")
        yield from ("-device", f"virtserialport,chardev=agent,name={AGENT}")
    if machine.vsock is not None:
        number, device = machine.vsock
        yield from ("-device", f"vhost-vsock-device,guest-cid={number},vhostfd={device}")
    for port, fd in machine.ports:
        label = port.replace(".", "-")
        yield from _file(label, fd)
        yield from ("-device", f"virtserialport,chardev={label},name={port}")
    if machine.tap is not None:
        yield from ("-netdev", f"tap,id=link,fd={machine.tap}")
        yield from ("-device", f"virtio-net-device,netdev=link,mac={mac_of(machine.address)}")
    if machine.power is not None:
        yield from ("-chardev", f"socket,id=power,fd={machine.power},server=on,wait=off")
        yield from ("-mon", "chardev=power,mode=control")
    yield from ("-device", "virtio-rng-device")


def _backing(disk: Disk, name: str) -> str:
    """Nobody else's lock is asked for: who may have a file as a disk is settled before (effects/held.py)."""
    read_only = "file.read-only=on" if disk.read_only else "file.discard=unmap"
    driver = "host_device" if disk.device else "file"
    return f"file.driver={driver},file.filename={name},file.locking=off,{read_only}"


def _file(label: str, fd: int) -> Iterator[str]:
    yield from ("-add-fd", f"fd={fd},set={fd}")
    yield from ("-chardev", f"file,id={label},path=/dev/fdset/{fd},append=on")
