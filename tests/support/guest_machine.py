"""A microVM's guest under QEMU, and nothing of the daemon: its disks, ports and files are made here, and read here."""

import asyncio
import functools
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from capsule.guest.v1 import guest_pb2 as pb
from capsule.guest.v1.guest_pb2_grpc import GuestServiceStub
from effects.microvms.relay import Relay, chardev
from image.modes import settle
from tests.support.runs_in_guests import described

IMAGE = Path(__file__).resolve().parent.parent.parent / "build/guest"
BOOT_S = 180.0
"""For a machine that everybody else uses at the same time, without hardware virtualisation."""
_LOOK_S = 0.02
_QEMU = (
    *("qemu-system-x86_64", "-M", "microvm,x-option-roms=off,isa-serial=on,rtc=on", "-accel", "tcg,thread=multi"),
    *("-cpu", "max", "-smp", "1", "-no-reboot", "-nodefaults", "-no-user-config", "-nographic"),
)
_PORTS = ("stdout", "stderr", "end")
_ACCOUNTS = {
    "passwd": "root:x:0:0::/root:/bin/sh\nweb:x:1000:1000::/home/web:/bin/sh\n",
    "group": "root:x:0:\nweb:x:1000:\nextra:x:7:web\n",
}


@functools.cache
def _kernel_line() -> str:
    rate = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if "MHz" in line)
    return f"console=ttyS0 panic=-1 quiet tsc_early_khz={int(float(rate.split(':')[1]) * 1_000)}"


def payload_disk(directory: Path) -> Path:
    """A file system with busybox in it, made once for a directory."""
    disk, tree = directory / "payload.erofs", _tree(directory)
    subprocess.run(["mkfs.erofs", "--quiet", disk, tree], check=True, capture_output=True)
    return disk


def squashed(directory: Path) -> Path:
    """The same, as the other kind of disk that a payload may come on."""
    disk, tree = directory / "payload.squashfs", _tree(directory)
    subprocess.run(["mksquashfs", tree, disk, "-quiet", "-no-progress"], check=True, capture_output=True)
    return disk


def _tree(directory: Path) -> Path:
    tree = directory / "tree"
    for name in ("bin", "etc", "tmp", "root"):
        (tree / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    for name in subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split():
        if name != "busybox":
            (tree / "bin" / name).symlink_to("busybox")
    for name, text in _ACCOUNTS.items():
        (tree / "etc" / name).write_text(text)
    (tree / "etc/notes").write_text("not for execution\n")
    settle(tree)
    (tree / "root").chmod(0o700)
    return tree


def ext4(path: Path, size: str) -> Path:
    """An empty disk with a file system."""
    with path.open("wb") as file:
        file.truncate(int(size.removesuffix("M")) << 20)
    subprocess.run(["mkfs.ext4", "-qF", path], check=True)
    return path


class GuestMachine:
    """One boot."""

    def __init__(
        self, directory: Path, payload: Path, run: dict[str, Any], volumes: tuple[Path, ...] = (), lacks: str = ""
    ) -> None:
        self._directory = directory
        said = json.dumps(run).encode()
        (directory / "run").write_bytes(said + b"\0" * (-len(said) % 512))
        for name in (*_PORTS, "serial"):
            (directory / name).touch()
        disks = {
            "guest": (IMAGE / "root.squashfs", True),
            "payload": (payload, True),
            "layer": (ext4(directory / "layer", "32M"), False),
            "run": (directory / "run", True),
            **{f"vol{number}": (path, False) for number, path in enumerate(volumes)},
        }
        command = [*_QEMU, "-m", "192", "-kernel", str(IMAGE / "vmlinux"), "-initrd", str(IMAGE / "initrd")]
        command += ["-append", _kernel_line(), "-serial", f"file:{directory / 'serial'}"]
        for serial, (path, read_only) in disks.items():
            if serial != lacks:
                options = f"if=none,format=raw,id={serial},file={path},readonly={'on' if read_only else 'off'}"
                command += ["-drive", options, "-device", f"virtio-blk-device,drive={serial},serial={serial}"]
        command += ["-device", "virtio-serial-device", "-device", "virtio-rng-device"]
        for name in _PORTS:
            command += ["-chardev", f"file,id={name},path={directory / name},append=on"]
            command += ["-device", f"virtserialport,chardev={name},name=capsule.{name}"]
        command += ["-chardev", f"socket,id=agent,path={directory / 'agent'},server=on,wait=off"]
        command += ["-device", "virtserialport,chardev=agent,name=capsule.agent"]
        command += ["-netdev", "hubport,id=net,hubid=0", "-device", "virtio-net-device,netdev=net"]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def said(self, name: str) -> str:
        """What is in a port's file, or on the serial console."""
        return (self._directory / name).read_text(errors="replace")

    def record(self) -> dict[str, Any]:
        """The last line of the end's port."""
        found: dict[str, Any] = json.loads(self.said("end").splitlines()[-1])
        return found

    def until(self, name: str, text: str) -> None:
        """Wait until a port has said something."""
        deadline = time.monotonic() + BOOT_S
        while text not in self.said(name):
            assert self._process.poll() is None and time.monotonic() < deadline, self.said("serial") + self.said("end")
            time.sleep(_LOOK_S)

    def off(self) -> None:
        """Wait until the machine is off."""
        self._process.wait(BOOT_S)

    def kill(self) -> None:
        """Pull the plug, if it is not off."""
        self._process.kill()
        self._process.wait()

    @contextmanager
    def agent(self) -> Iterator[GuestServiceStub]:
        """Calls of the guest's service, over the channel, and Hello."""
        path = self._directory / "grpc"
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        relay = Relay("web", chardev(self._directory / "agent"), path)
        relay.talking(1)  # there is always an exec or a copy here
        running = asyncio.run_coroutine_threadsafe(relay.run(), loop)
        try:
            with grpc.insecure_channel(f"unix:{path}", options=[("grpc.default_authority", "localhost")]) as channel:
                stub = GuestServiceStub(channel)
                request = pb.HelloRequest(version_min=1, version_max=1, release="test")
                stub.Hello(request, wait_for_ready=True, timeout=BOOT_S)
                yield stub
        finally:
            running.cancel()
            loop.call_soon_threadsafe(_wind_up, loop)
            thread.join()
            loop.close()


def _wind_up(loop: asyncio.AbstractEventLoop) -> None:
    """Stop the loop once nothing is left of what was cancelled in it."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.call_soon(_wind_up, loop)
    else:
        loop.stop()


@contextmanager
def guest_machine(
    directory: Path, payload: Path, volumes: tuple[Path, ...] = (), lacks: str = "", **changes: Any
) -> Iterator[GuestMachine]:
    """A boot of the run with `changes`; nothing of it is left."""
    if not (IMAGE / "manifest").exists():
        pytest.skip("the guest's image is not built: `make guest-image`")
    directory.mkdir(exist_ok=True)
    machine = GuestMachine(directory, payload, described(**changes), volumes, lacks)
    try:
        yield machine
    finally:
        machine.kill()
