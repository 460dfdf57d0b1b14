"""What of a call's arguments may stand in the journal."""

from capsule.v1 import identity_pb2, image_pb2, volume_pb2, workload_pb2
from capsuled.arguments import PATHS_MAX, arguments_of


def test_names_numbers_flags_and_enums_are_shown_and_bytes_are_counted() -> None:
    request = identity_pb2.KeyAddRequest(pubkey=b"x" * 32, name="anna", role=identity_pb2.OPERATOR_ROLE_READER)
    assert arguments_of(request) == (("pubkey", "32 bytes"), ("name", "anna"), ("role", "OPERATOR_ROLE_READER"))
    assert arguments_of(volume_pb2.VolumeResizeRequest(name="v", new_size_mib=7)) == (
        ("name", "v"),
        ("new_size_mib", "7"),
    )


def test_env_and_everything_nested_is_named_and_never_shown() -> None:
    spec = workload_pb2.ContainerSpec(image="i", env={"TOKEN": "s3cret"}, args=["s3cret"])
    request = workload_pb2.WorkloadApplyRequest(workload=workload_pb2.Workload(name="web", container=spec), pull=True)
    found = dict(arguments_of(request))
    assert found["pull"] == "true" and {"workload.name", "workload.container.env", "workload.container.args"} <= set(
        found
    )
    assert "s3cret" not in repr(found) and "TOKEN" not in repr(found) and "web" not in repr(found)


def test_text_that_is_no_name_is_not_shown() -> None:
    request = workload_pb2.WorkloadCopyToRequest(metadata=workload_pb2.WorkloadCopyToMetadata(name="a", dest_path="/b"))
    assert all(value == "" for _, value in arguments_of(request))
    assert arguments_of(image_pb2.ImagePushRequest(chunk=b"12")) == (("chunk", "2 bytes"),)


def test_paths_are_bounded() -> None:
    batch = [workload_pb2.Workload(name=f"w{number}") for number in range(1_000)]
    from capsule.v1 import machine_pb2

    assert len(arguments_of(machine_pb2.ApplyAllRequest(workloads=batch))) == PATHS_MAX
