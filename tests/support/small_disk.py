"""A file system of its own for one state: small enough to be filled, and with faults that the kernel makes for real."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from capsule.v1 import workload_pb2 as pb
from capsule.v1 import workload_pb2_grpc
from tests.support.daemon import Daemon

BULK = "x" * 100_000
FAULTS = Path("/sys/fs/ext4")


class SmallDisk:
    """A mounted ext4. After an error it can be read only, as most machines are set up."""

    def __init__(self, mount: Path, device: str) -> None:
        self.mount = mount
        self._device = device

    def fill(self) -> None:
        """Take all there is."""
        with (self.mount / "ballast").open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))

    def free(self) -> None:
        """Give it back."""
        (self.mount / "ballast").unlink()

    def fail(self) -> None:
        """An error in the file system's own structures: from here on nothing can be written."""
        os.sync()
        (FAULTS / self._device / "trigger_fs_error").write_text("a test's")


@contextmanager
def small_disk(scratch: Path, size_bytes: int = 128 << 20) -> Iterator[SmallDisk]:
    """Made, mounted, and taken away again. Skips by name on a machine without loop mounts."""
    if os.geteuid() != 0:
        pytest.skip("this machine lacks root: no loop mounts")
    image, mount = scratch / "disk", scratch / "mount"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(size_bytes)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    command: list[str | Path] = ["mount", "-o", "loop,errors=remount-ro", image, mount]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"this machine lacks loop mounts: {made.stderr.strip()}")
    source = subprocess.run(["findmnt", "-no", "SOURCE", mount], capture_output=True, text=True, check=True).stdout
    try:
        yield SmallDisk(mount, Path(source.strip()).name)
    finally:
        subprocess.run(["umount", "-l", mount], check=True)


def use_up(capsule: Daemon) -> str:
    """Declare big things until the journal takes no more; the reason for it."""
    try:
        declare(capsule, 500)
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        return str(error.details())
    raise AssertionError("the disk never filled")


def declare(capsule: Daemon, times: int) -> None:
    """So many big things. Raises RpcError."""
    with grpc.insecure_channel(f"unix:{capsule.state}/capsule.sock") as channel:
        stub = workload_pb2_grpc.WorkloadServiceStub(channel)
        for number in range(times):
            spec = pb.ContainerSpec(image="demo:1", args=[f"{number}{BULK}", BULK])
            bulky = pb.Workload(name="bulky", container=spec, desired_state=pb.DESIRED_STATE_STOPPED)
            stub.Apply(pb.WorkloadApplyRequest(workload=bulky))
