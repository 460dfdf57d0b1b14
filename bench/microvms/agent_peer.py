"""QEMU's own guest agent in a bare `qemu -M microvm`, with the kernel and the modules that our guests have: another
house's way into a machine. Source of what it is asked: QEMU's docs/interop/qemu-ga."""

import io
import json
import re
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.microvms.bare import command
from effects.microvms.guest_image import BUILT
from guest.image.archive import packed
from guest.image.tree import PROGRAM, Tree
from tests.support.daemon import Daemon

_AGENT = "qemu-ga"
_BUSYBOX = Path("/bin/busybox")
_APPLETS = ("sh", "insmod", "mount", "ls", "true")
_PORT = "org.qemu.guest_agent.0"
_HEADER_BYTES, _FIELDS, _SIZE, _NAME = 110, 13, 6, 11
_BOOT_S = 60


class AgentPeer:
    """A machine that runs, by the stream to its agent."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream

    def ask(self, command: str, **arguments: Any) -> Any:
        """What it answers."""
        request = {"execute": command, **({"arguments": arguments} if arguments else {})}
        self._stream.write(json.dumps(request).encode() + b"\n")
        self._stream.flush()
        return json.loads(self._stream.readline())["return"]

    def execute(self, *command: str) -> None:
        """A process, to its end: it has to be asked for, again and again."""
        pid = self.ask("guest-exec", path=command[0], arg=list(command[1:]), **{"capture-output": True})["pid"]
        while not self.ask("guest-exec-status", pid=pid)["exited"]:
            pass


@contextmanager
def agent_peer(directory: Path, machine: Daemon) -> Iterator[AgentPeer]:
    """One that has booted, on a machine on which a microVM has run."""
    initrd, path = directory / "agent.initrd", directory / "agent.sock"
    initrd.write_bytes(packed(_tree(BUILT / "initrd")))
    process = subprocess.Popen([*command(machine, initrd), *_device(path)], stdin=subprocess.DEVNULL)
    try:
        with _connected(path) as stream, stream.makefile("rwb") as file:
            peer = AgentPeer(file)
            peer.ask("guest-ping")
            yield peer
    finally:
        process.kill()
        process.wait()


def _device(path: Path) -> list[str]:
    return [
        "-device", "virtio-serial-device", "-chardev", f"socket,id=agent,path={path},server=on,wait=off",
        "-device", f"virtserialport,chardev=agent,name={_PORT}", "-device", "virtio-rng-device",
    ]  # fmt: skip


def _connected(path: Path) -> socket.socket:
    """It answers once it has booted; until then what it is asked waits."""
    deadline = time.monotonic() + _BOOT_S
    while True:
        stream = socket.socket(socket.AF_UNIX)
        stream.settimeout(_BOOT_S)
        try:
            stream.connect(str(path))
            return stream
        except OSError:
            stream.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _tree(initrd: Path) -> Tree:
    """A root with the agent in it and nothing that it does not need."""
    tree, modules = Tree(), []
    for name, mode, data in _entries(initrd.read_bytes()):
        if name.startswith("modules/") and stat.S_ISREG(mode):
            tree.file(name, data)
            modules.append(name)
    agent = Path(shutil.which(_AGENT) or f"/usr/sbin/{_AGENT}")
    tree.file("bin/busybox", _BUSYBOX.read_bytes(), PROGRAM)
    tree.file(f"bin/{_AGENT}", agent.read_bytes(), PROGRAM)
    for applet in _APPLETS:
        tree.link(f"bin/{applet}", "busybox")
    for library in re.findall(r"(/\S+)", subprocess.run(["ldd", agent], capture_output=True, text=True).stdout):
        tree.file(library.lstrip("/"), Path(library).read_bytes(), PROGRAM)
    for place in ("proc", "sys", "dev", "run", "tmp", "var/run"):
        tree.directory(place)
    tree.node("dev/console", 5, 1)
    tree.file("init", _init(sorted(modules)).encode(), PROGRAM)
    return tree


def _init(modules: list[str]) -> str:
    lines = (
        "#!/bin/sh",
        "mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev",
        *(f"insmod /{module}" for module in modules),
        f"exec {_AGENT} -m virtio-serial -p /dev/$(ls /sys/class/virtio-ports) -t /tmp",
    )
    return "\n".join(lines) + "\n"


def _entries(archive: bytes) -> Iterator[tuple[str, int, bytes]]:
    """Name, mode and content of what is in a `newc` archive."""
    at = 0
    while True:
        fields = [int(archive[at + 6 + 8 * one : at + 14 + 8 * one], 16) for one in range(_FIELDS)]
        name = archive[at + _HEADER_BYTES : at + _HEADER_BYTES + fields[_NAME] - 1].decode()
        content = (at + _HEADER_BYTES + fields[_NAME] + 3) & ~3
        if name == "TRAILER!!!":
            return
        yield name, fields[1], archive[content : content + fields[_SIZE]]
        at = (content + fields[_SIZE] + 3) & ~3
