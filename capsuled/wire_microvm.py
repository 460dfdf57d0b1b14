"""The part of a microVM's section that says what machine it has. Pure; 0 and absent become defaults here."""

from typing import Any

from capsule.v1 import workload_pb2 as pb
from journal.specs import Backend, MicroVM
from projections.refusals import Refusal, invalid, lacks

_BACKENDS: dict[int, Backend] = {
    pb.MICRO_VM_BACKEND_UNSPECIFIED: "qemu",
    pb.MICRO_VM_BACKEND_QEMU: "qemu",
}
_BACKENDS_OUT: dict[Backend, Any] = {"qemu": pb.MICRO_VM_BACKEND_QEMU}
_NAMES = {pb.MICRO_VM_BACKEND_FIRECRACKER: "Firecracker", pb.MICRO_VM_BACKEND_SMOLVM: "smolVM"}
_MIB = 1 << 20
_USUAL = MicroVM()
BESIDE_MIB = 128
"""What a guest has for its kernel and its agent beside the memory that its payload may take."""


def parse_vm(message: pb.MicroVMSpec) -> MicroVM | Refusal:
    """The machine. Whether it makes sense on this one is admission's to say."""
    if message.backend not in _BACKENDS:
        name = _NAMES.get(message.backend)
        if name is None:
            return invalid("BAD_BACKEND", "the backend is not one this release knows", "container.backend")
        return lacks(
            "NO_SUCH_BACKEND", f"no driver here runs {name}: leave out `backend`, or say QEMU", "container.backend"
        )
    payload_mib = -(-message.resources.memory_bytes // _MIB)
    least_mib = max(_USUAL.memory_mib, payload_mib + BESIDE_MIB if payload_mib else 0)
    return MicroVM(
        vcpus=message.vcpus or _USUAL.vcpus,
        memory_mib=message.memory_mib or least_mib,
        backend=_BACKENDS[message.backend],
        kernel_path=message.kernel_path,
        rootfs_path=message.rootfs_path,
        cmdline_extra=message.kernel_cmdline_extra,
    )


def vm_message(vm: MicroVM) -> pb.MicroVMSpec:
    """The same, as clients see it: with everything that was chosen for them."""
    return pb.MicroVMSpec(
        vcpus=vm.vcpus,
        memory_mib=vm.memory_mib,
        backend=_BACKENDS_OUT[vm.backend],
        kernel_path=vm.kernel_path,
        rootfs_path=vm.rootfs_path,
        kernel_cmdline_extra=vm.cmdline_extra,
    )


def vm_plain(vm: MicroVM) -> dict[str, Any]:
    """The same in the manifest's words, for a diff."""
    return {
        "vcpus": vm.vcpus,
        "memoryMib": vm.memory_mib,
        "backend": vm.backend.upper(),
        "kernelPath": vm.kernel_path,
        "rootfsPath": vm.rootfs_path,
        "kernelCmdlineExtra": vm.cmdline_extra,
    }
