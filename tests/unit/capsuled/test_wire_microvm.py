"""A microVM between the wire and the journal: a container's section under another name, with a machine of its own."""

import pytest
from msgspec.structs import replace

from capsule.v1 import workload_pb2 as pb
from capsuled.wire import Parsed, field_changes, parse_workload, workload_message
from capsuled.wire_microvm import parse_vm, vm_message, vm_plain
from journal.specs import ContainerSpec, ImagePin, MicroVM, Resources
from projections.refusals import Refusal
from tests.support.story import Story, declared
from tests.unit.capsuled.test_wire_container import FULL, shown

OWN = MicroVM(kernel_path="/srv/vmlinuz", rootfs_path="/srv/root.img")


def microvm(**fields: object) -> pb.Workload:
    return pb.Workload(name="vm", micro_vm=pb.MicroVMSpec(**{"image": "busybox:1", **fields}))  # type: ignore[arg-type]


def spec_of(message: pb.Workload) -> ContainerSpec:
    found = parse_workload(message)
    assert isinstance(found, Parsed), found
    assert (found.declared.kind, found.declared.spec.network) == ("microvm", "bridge")
    return found.declared.spec


def refusal(message: pb.Workload) -> Refusal:
    found = parse_workload(message)
    assert isinstance(found, Refusal), found
    return found


def test_a_containers_fields_mean_in_a_microvm_what_they_mean_there() -> None:
    """Every one that both have, set to something else than its default."""
    shared = {one.name for one in pb.MicroVMSpec.DESCRIPTOR.fields} & {
        one.name for one in pb.ContainerSpec.DESCRIPTOR.fields
    }
    assert {"working_dir", "user", "restart", "resources", "tmpfs", "health", "secrets", "logs", "ulimits"} <= shared
    wanted = replace(FULL, resources=Resources(500, 512, 64 << 20, 0, 7), seccomp="default", host_binds=())
    container = shown(wanted)
    said = [field.name for field, _ in container.ListFields()]
    assert len(said) > 10
    flipped = pb.MicroVMSpec.FromString(container.SerializeToString())
    flipped.image = "busybox:1"
    assert {field.name for field, _ in flipped.ListFields()} == {*said, "image"}
    got = spec_of(pb.Workload(name="vm", micro_vm=flipped))
    assert replace(got, vm=None, network="none", image=wanted.image) == wanted


@pytest.mark.parametrize(
    ("said", "vm"),
    [
        (pb.MicroVMSpec(), MicroVM(1, 256)),
        (pb.MicroVMSpec(vcpus=2, memory_mib=512, kernel_cmdline_extra="quiet"), MicroVM(2, 512, cmdline_extra="quiet")),
        (pb.MicroVMSpec(resources=pb.Resources(memory_bytes=64 << 20)), MicroVM(1, 256)),
        (pb.MicroVMSpec(resources=pb.Resources(memory_bytes=(300 << 20) - 1)), MicroVM(1, 428)),
        (pb.MicroVMSpec(backend=pb.MICRO_VM_BACKEND_QEMU), MicroVM(1, 256)),
    ],
)
def test_what_is_not_said_of_the_machine_becomes_a_default(said: pb.MicroVMSpec, vm: MicroVM) -> None:
    said.image = "busybox:1"
    assert spec_of(pb.Workload(name="vm", micro_vm=said)).vm == vm


@pytest.mark.parametrize(
    ("message", "code", "reason", "field"),
    [
        (microvm(backend=pb.MICRO_VM_BACKEND_FIRECRACKER), "UNIMPLEMENTED", "NO_SUCH_BACKEND", "microVm.backend"),
        (microvm(backend=pb.MICRO_VM_BACKEND_SMOLVM), "UNIMPLEMENTED", "NO_SUCH_BACKEND", "microVm.backend"),
        (microvm(backend=77), "INVALID_ARGUMENT", "BAD_BACKEND", "microVm.backend"),
        (microvm(restart=77), "INVALID_ARGUMENT", "BAD_RESTART", "microVm.restart"),
        (microvm(secrets=[pb.SecretFile(secret="a", mode="x")]), "INVALID_ARGUMENT", "BAD_MODE", "microVm.secrets[0].mode"),
        (microvm(args=["\0"]), "INVALID_ARGUMENT", "BAD_TEXT", "microVm.args[0]"),
        (microvm(image=""), "INVALID_ARGUMENT", "BAD_IMAGE", "microVm.image"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_by_the_microvms_field(
    message: pb.Workload, code: str, reason: str, field: str
) -> None:
    found = refusal(message)
    assert (found.code, found.reason, found.fields) == (code, reason, (field,))


@pytest.mark.parametrize("vm", [MicroVM(), MicroVM(2, 1024, cmdline_extra="quiet"), OWN])
def test_what_is_shown_can_be_applied_again_and_changes_nothing(vm: MicroVM) -> None:
    story = Story()
    one = declared("vm", vm=vm)
    if vm.kernel_path:
        one = replace(one, spec=replace(one.spec, image=NOTHING), image_ref="", resolved=NOTHING)
    story.apply(one)
    message = workload_message(story.machine, story["vm"])
    assert (message.kind, message.micro_vm.vcpus, message.micro_vm.backend) == (
        pb.WORKLOAD_KIND_MICRO_VM, vm.vcpus, pb.MICRO_VM_BACKEND_QEMU,
    )  # fmt: skip
    assert not message.HasField("container")
    assert spec_of(message) == replace(story["vm"].spec, image=ImagePin(story["vm"].spec.image.ref, "", ""))


NOTHING = ImagePin("", "", "")


def test_every_field_of_the_machine_is_shown_and_compared() -> None:
    fields = {one.name: one.json_name for one in pb.MicroVMSpec.DESCRIPTOR.fields}
    own = {name: json for name, json in fields.items() if name not in pb.ContainerSpec.DESCRIPTOR.fields_by_name}
    vm = replace(OWN, vcpus=2, memory_mib=512, cmdline_extra="quiet")
    message = vm_message(vm)
    assert {field.name for field, _ in message.ListFields()} == own.keys() and parse_vm(message) == vm
    assert vm_plain(vm).keys() == set(own.values()) and len(own) == len(MicroVM.__struct_fields__)
    assert [name for name, value in vm_plain(vm).items() if value == vm_plain(MicroVM())[name]] == ["backend"]


def test_a_diff_speaks_of_the_microvms_section() -> None:
    story = Story()
    story.apply(declared("vm", vm=MicroVM()))
    before = story["vm"]
    story.apply(declared("vm", vm=MicroVM(2, 512)))
    assert field_changes(before, story["vm"]) == [
        ("change", "microVm.memoryMib", "256", "512"),
        ("change", "microVm.vcpus", "1", "2"),
    ]
    assert not any("networkMode" in path for _, path, _, _ in field_changes(None, before))
