"""What a microVM's fields must be: on this machine, and where it boots a kernel of its own."""

from typing import Any

import pytest
from msgspec.structs import replace

from journal.specs import (
    ContainerSpec,
    HealthCheck,
    ImagePin,
    MicroVM,
    PortMapping,
    Resources,
    SealedEnv,
    Tmpfs,
    Ulimit,
    VolumeMount,
)
from projections.abilities import Abilities
from projections.admission import Admitted
from projections.intents import Apply, Declared
from projections.microvm_rules import OF_AN_IMAGE
from projections.refusals import Refusal
from projections.rights import permit
from tests.support.story import Story, declared

MACHINE = Abilities(
    cpus=2, memory_bytes=1 << 30, pids=100, controllers=frozenset(), capabilities=frozenset(), ulimits=(("nofile", 10),)
)
NOTHING = ImagePin("", "", "")
KERNEL = MicroVM(kernel_path="/srv/vmlinuz", rootfs_path="/srv/root.img")


def vm(machine: MicroVM = MicroVM(), **fields: Any) -> Declared:
    made = declared("vm", vm=machine)
    if machine.kernel_path or machine.rootfs_path:
        made = replace(made, spec=replace(made.spec, image=NOTHING), image_ref="", resolved=NOTHING)
    return replace(made, spec=replace(made.spec, **fields))


def volumes(count: int) -> tuple[VolumeMount, ...]:
    return tuple(VolumeMount(f"v{number}", f"/v{number}") for number in range(count))


def named(one: Declared) -> Declared:
    """With an image, beside whatever it boots."""
    return replace(one, spec=replace(one.spec, image=replace(NOTHING, ref="app:1")), image_ref="app:1")


def verdict(one: Declared, abilities: Abilities = MACHINE) -> Admitted | Refusal:
    return Story().apply(one, abilities=abilities)


@pytest.mark.parametrize(
    "one",
    [
        vm(MicroVM(2, 1024)),
        vm(KERNEL, ports=(PortMapping(80, 8080),), health=HealthCheck("tcp", port=80)),
        # The machine's own limits are not its guests'.
        vm(cap_add=("SYS_ADMIN",), ulimits=(Ulimit("nofile", 100, 1_000),), resources=Resources(pids=10_000)),
    ],
)
def test_what_makes_sense_is_admitted(one: Declared) -> None:
    assert isinstance(verdict(one), Admitted)


@pytest.mark.parametrize(
    ("one", "reason", "field"),
    [
        (vm(MicroVM(3)), "BAD_VCPUS", "vcpus"),
        (vm(MicroVM(1, 127)), "BAD_MEMORY", "memoryMib"),
        (vm(replace(KERNEL, memory_mib=63)), "BAD_MEMORY", "memoryMib"),
        (vm(MicroVM(1, 1025)), "BAD_MEMORY", "memoryMib"),
        (vm(MicroVM(1, 256), resources=Resources(memory_bytes=512 << 20)), "BAD_MEMORY", "resources.memory"),
        (vm(resources=Resources(memory_bytes=1 << 20, swap_bytes=1)), "NO_SWAP", "resources.swap"),
        (vm(resources=Resources(cpu_millis=500)), "NO_CONTROLLER", "resources.cpus"),
        (vm(MicroVM(cmdline_extra="a\nb")), "BAD_CMDLINE", "kernelCmdlineExtra"),
        (vm(MicroVM(cmdline_extra="a" * 2_000)), "BAD_CMDLINE", "kernelCmdlineExtra"),
        (vm(MicroVM(kernel_path="/srv/vmlinuz")), "BAD_KERNEL", "rootfsPath"),
        (vm(MicroVM(rootfs_path="/srv/root.img")), "BAD_KERNEL", "kernelPath"),
        (named(vm(KERNEL)), "BAD_KERNEL", "image"),
        (vm(replace(KERNEL, kernel_path="../vmlinuz")), "BAD_PATH", "kernelPath"),
        (vm(KERNEL, command=("a",)), "OWN_KERNEL", "command"),
        (vm(KERNEL, env=(SealedEnv("A", "x"),)), "OWN_KERNEL", "env"),
        (vm(KERNEL, tmpfs=(Tmpfs("/tmp"),)), "OWN_KERNEL", "tmpfs"),
        (vm(KERNEL, shm_bytes=0), "OWN_KERNEL", "shm"),
        (vm(KERNEL, resources=Resources(pids=5)), "OWN_KERNEL", "resources.pids"),
        (vm(KERNEL, health=HealthCheck("exec", ("true",))), "OWN_KERNEL", "health.exec"),
        (vm(tmpfs=(Tmpfs("data"),)), "BAD_PATH", "tmpfs[0].mountPath"),
        (vm(env=(SealedEnv("A", "x", 96 << 10),)), "VARIABLE_TOO_LONG", "env.A"),
        (vm(args=("x" * (128 << 10),)), "ARGUMENT_TOO_LONG", "args"),
        (vm(stop_signal="NONE"), "BAD_SIGNAL", "stopSignal"),
        (vm(ports=(PortMapping(80, 1), PortMapping(81, 1))), "PORT_TWICE", "ports.hostPort"),
        (vm(mounts=(VolumeMount("data", "/data"),)), "VOLUME_NOT_FOUND", "mounts"),
        (vm(mounts=volumes(16)), "VOLUME_NOT_FOUND", "mounts"),
        (vm(mounts=volumes(17)), "TOO_MANY_VOLUMES", "mounts"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_by_the_microvms_field(one: Declared, reason: str, field: str) -> None:
    refused = verdict(one)
    assert isinstance(refused, Refusal), refused
    assert (refused.reason, refused.fields) == (reason, (f"microVm.{field}",))


def test_every_field_is_refused_beside_an_own_kernel_or_means_something_there() -> None:
    a_containers = {"privileged", "host_pid", "host_mount", "host_ipc", "host_bind_paths", "host_binds", "seccomp"}
    seen_to = {"image", "vm", "network", "ports", "stop_grace_ms", "restart", "log_max_bytes", "resources", "health"}
    assert {*OF_AN_IMAGE, *a_containers, *seen_to} == set(ContainerSpec.__struct_fields__), (
        "say in projections/microvm_rules.py whether somebody sees to the field where a kernel of its own boots"
    )


def test_a_machine_that_runs_none_says_why_and_what_to_do() -> None:
    story = Story()
    story.capabilities = frozenset({"network.bridge"})
    refused = story.apply(vm(), abilities=Abilities(no_microvms="QEMU is not installed: install qemu-system-x86"))
    assert isinstance(refused, Refusal) and (refused.reason, refused.fields) == ("NO_MICROVM_DRIVER", ("kind",))
    assert "install qemu-system-x86" in refused.message


def test_what_boots_is_an_admins_to_say_and_what_a_guests_kernel_grants_is_not() -> None:
    assert permit("operator", Apply((vm(cap_add=("SYS_ADMIN",)),))) is None
    denied = permit("operator", Apply((vm(KERNEL),)))
    assert denied is not None and denied.fields == ("microVm.kernelPath", "microVm.rootfsPath")


def test_the_kind_of_a_workload_stays() -> None:
    story = Story()
    story.apply(declared("vm"))
    refused = story.apply(vm())
    assert isinstance(refused, Refusal) and refused.reason == "KIND_FIXED" and "a container" in refused.message


def test_a_microvm_needs_the_bridge() -> None:
    story = Story()
    story.capabilities = frozenset({"microvm"})
    refused = story.apply(vm(), abilities=MACHINE)
    assert isinstance(refused, Refusal) and (refused.reason, refused.fields) == ("NO_BRIDGE_DRIVER", ("kind",))
