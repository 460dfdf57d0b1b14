"""What an image for debugging is built of: the machine's busybox, else the machine's own programs where they are."""

import asyncio
import io
import shutil
import struct
import tarfile
from pathlib import Path

import pytest

from capsule.v1 import workload_pb2 as pb
from capsuled.debug import Choice, declaration
from capsuled.debug_image import BuiltImage, debug_image, needs_no_libraries
from effects.errors import ImageMissing


def program(*headers: int, wide: bool = True, order: str = "<") -> bytes:
    """An ELF file with program headers of these types, and nothing else."""
    identity = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    size, start = (56, 64) if wide else (32, 52)
    rest = struct.pack(f"{order}HHI{'QQQ' if wide else 'III'}", 2, 62, 1, 0, start, 0)
    rest += struct.pack(f"{order}IHHHHHH", 0, start, size, len(headers), 0, 0, 0)
    return identity + rest + b"".join(struct.pack(f"{order}I", one).ljust(size, b"\0") for one in headers)


@pytest.mark.parametrize("wide", [True, False], ids=["64 bits", "32 bits"])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_a_program_with_a_loader_needs_libraries(tmp_path: Path, wide: bool, order: str) -> None:
    static, dynamic = tmp_path / "static", tmp_path / "dynamic"
    static.write_bytes(program(1, 1, 4, wide=wide, order=order))
    dynamic.write_bytes(program(6, 3, 1, wide=wide, order=order))
    assert needs_no_libraries(static) and not needs_no_libraries(dynamic)


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF", program(1, 1)[:80]])
def test_what_is_no_whole_program_is_none_to_copy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd").write_bytes(content)
    assert not needs_no_libraries(tmp_path / "odd") and not needs_no_libraries(tmp_path / "absent")


def built(root: Path) -> BuiltImage:
    return asyncio.run(debug_image(root))


def members(image: BuiltImage) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(image.tree)) as tar:
        return {member.name: member for member in tar}


@pytest.mark.skipif(shutil.which("busybox") is None, reason="this machine lacks busybox")
def test_a_busybox_is_copied_with_a_name_for_each_of_its_programs(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    shutil.copy("/bin/busybox", tmp_path / "bin/busybox")
    image = built(tmp_path)
    found = members(image)
    assert image.built_from == "/bin/busybox" and image.binds == ()
    assert found["bin/busybox"].size == Path("/bin/busybox").stat().st_size and found["bin/busybox"].mode == 0o755
    assert all(found[f"bin/{name}"].linkname == "busybox" for name in ("sh", "ls", "chroot", "vi"))
    assert image.name.startswith("docker.io/library/capsule-debug:busybox-") and image == built(tmp_path)


def test_without_one_the_machines_own_programs_are_bound_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/sh").write_bytes(program(3))
    (tmp_path / "usr/bin/busybox").write_bytes(program(3))  # one that needs libraries is no help
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "lib64").mkdir()
    image = built(tmp_path)
    found = members(image)
    assert image.built_from == "/bin/sh" and image.binds == ("/lib64", "/usr")
    assert found["bin"].linkname == "usr/bin" and found["usr"].isdir() and "sbin" not in found
    assert image.name.startswith("docker.io/library/capsule-debug:machine-")


def test_a_machine_without_any_shell_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ImageMissing, match=r"neither a busybox that needs no libraries nor /bin/sh.*--image"):
        built(tmp_path)


def test_what_is_declared_is_the_machines_own_and_only_what_it_has() -> None:
    image = BuiltImage("capsule-debug:x", "/bin/sh", b"", ("/usr",))
    workload = declaration(Choice(image.name, image), lambda path: path in ("/sys", "/dev"))
    spec = workload.container
    assert workload.name == "capsule-debug" and spec.image == "capsule-debug:x"
    assert spec.privileged and spec.host_pid and spec.host_ipc and spec.host_mount
    assert spec.network_mode == pb.NETWORK_MODE_HOST and spec.restart == pb.RESTART_MODE_NEVER
    assert list(spec.host_bind_paths) == ["/sys", "/dev"]
    assert [(one.source, one.read_only) for one in spec.host_binds] == [("/usr", True)]
    assert not declaration(Choice("alpine:3.20"), lambda path: True).container.host_binds
