"""What a microVM's fields must be to be admitted: by themselves, and on a machine with these abilities. Pure.

Its section has no field for what only a container can have. What an image's process can have and an own kernel's cannot
is refused by name. The fields at fault are named as a container's: see refusals.in_section.
"""

import posixpath
from collections.abc import Callable

from journal.specs import ContainerSpec, ImagePin, MicroVM, Resources
from projections.abilities import UNKNOWN, Abilities
from projections.container_rules import (
    check_capabilities,
    check_health,
    check_names,
    check_places,
    check_processor,
    check_restart,
    check_stop_signal,
    check_strings,
    check_ulimits,
)
from projections.manifest import written
from projections.refusals import Refusal, invalid, lacks
from projections.words import bytes_text

MEMORY_MIN_MIB = 64
AGENT_MIN_MIB = 128
"""With an agent in it: with 96 the kernel was found not to come up."""
VCPUS_MAX = 64
CMDLINE_CHARS = 1_024
"""Of what is added: the kernel's own limit is 2,048 for all of it."""
VOLUMES_MAX = 16
"""Each is a device, and QEMU's machine has room for 24: eight are four more disks, the ports, vsock, the link, and the
source of chance."""
_MIB = 1 << 20

OF_AN_IMAGE = (
    "command",
    "args",
    "env",
    "secret_env",
    "secrets",
    "working_dir",
    "user",
    "stop_signal",
    "cap_add",
    "cap_drop",
    "read_only_root",
    "new_privileges",
    "tmpfs",
    "shm_bytes",
    "hostname",
    "extra_hosts",
    "ulimits",
    "mounts",
)
"""What the agent does for an image's process: where another kernel boots there is none."""
_USUAL = ContainerSpec(ImagePin("", "", ""))
"""Of which nothing was said."""


def check_microvm(spec: ContainerSpec, machine: Abilities) -> Refusal | None:
    """The first thing that is wrong."""
    vm = spec.vm
    assert vm is not None
    return (
        _check_vcpus(vm, machine)
        or _check_memory(spec, vm, machine)
        or _check_cmdline(vm)
        or _check_kernel(spec, vm)
        or _check_volumes(spec)
        or check_processor(spec, machine)
        or next((refusal for check in _INSIDE if (refusal := check(spec, UNKNOWN)) is not None), None)
    )


_INSIDE: tuple[Callable[[ContainerSpec, Abilities], Refusal | None], ...] = (
    check_restart,
    check_strings,
    check_stop_signal,
    check_capabilities,
    check_health,
    check_names,
    check_ulimits,
    check_places,
)
"""What holds for any process; this machine's own limits are not its guests'."""


def _check_vcpus(vm: MicroVM, machine: Abilities) -> Refusal | None:
    most = min(machine.cpus or VCPUS_MAX, VCPUS_MAX)
    if vm.vcpus <= most:
        return None
    words = f"this machine has {machine.cpus} processors, not so many" if most < VCPUS_MAX else f"{VCPUS_MAX} at most"
    return invalid("BAD_VCPUS", words, "container.vcpus")


def _check_memory(spec: ContainerSpec, vm: MicroVM, machine: Abilities) -> Refusal | None:
    path, wanted = "container.memoryMib", spec.resources
    least = MEMORY_MIN_MIB if vm.kernel_path else AGENT_MIN_MIB
    if vm.memory_mib < least:
        return invalid("BAD_MEMORY", f"less than {least} MiB is not enough to boot in", path)
    if machine.memory_bytes and vm.memory_mib * _MIB > machine.memory_bytes:
        return invalid("BAD_MEMORY", f"this machine has {bytes_text(machine.memory_bytes)}, not so much", path)
    if wanted.swap_bytes:
        return lacks("NO_SWAP", "a microVM has no swap: leave it out", "container.resources.swap")
    if wanted.memory_bytes > vm.memory_mib * _MIB:
        words = f"the microVM has {vm.memory_mib} MiB (memoryMib), and its program cannot take more"
        return invalid("BAD_MEMORY", words, "container.resources.memory")
    return None


def _check_cmdline(vm: MicroVM) -> Refusal | None:
    text = vm.cmdline_extra
    if len(text) <= CMDLINE_CHARS and text.isascii() and (text.isprintable() or not text):
        return None
    words = f"what is added to the kernel's command line has at most {CMDLINE_CHARS} characters of plain ASCII"
    return invalid("BAD_CMDLINE", words, "container.kernelCmdlineExtra")


def _check_kernel(spec: ContainerSpec, vm: MicroVM) -> Refusal | None:
    """An own kernel comes with its disk and without an image, and nobody does in it what the agent would."""
    if spec.has_image:
        return None
    for field, path in (("kernelPath", vm.kernel_path), ("rootfsPath", vm.rootfs_path)):
        if not path:
            return invalid("BAD_KERNEL", "kernelPath and rootfsPath go together", f"container.{field}")
        if not path.startswith("/") or posixpath.normpath(path) != path:
            words = "a path of the machine is absolute and has no `..`, `.` or `//`"
            return invalid("BAD_PATH", words, f"container.{field}")
    if spec.image.ref:
        words = "a microVM boots an image, or a kernel of its own: leave out one of them"
        return invalid("BAD_KERNEL", words, "container.image")
    said = next((name for name in OF_AN_IMAGE if getattr(spec, name) != getattr(_USUAL, name)), "")
    if not said and spec.resources != Resources(spec.resources.cpu_millis, spec.resources.cpu_shares):
        said = "resources.memory" if spec.resources.memory_bytes else "resources.pids"
    if not said and spec.health is not None and spec.health.probe == "exec":
        said = "health.exec"
    if not said:
        return None
    name = written(said)
    words = f"in a microVM that boots a kernel of its own nobody sees to {name}: say it to that system, or use an image"
    return invalid("OWN_KERNEL", words, f"container.{name}")


def _check_volumes(spec: ContainerSpec) -> Refusal | None:
    if len(spec.mounts) <= VOLUMES_MAX:
        return None
    words = f"{len(spec.mounts)} volumes: a microVM has room for {VOLUMES_MAX}, each is a disk of its own"
    return invalid("TOO_MANY_VOLUMES", words, "container.mounts")
