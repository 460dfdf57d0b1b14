"""A machine that systemd runs: this one's files with a layer of its own, in a container of systemd's own making.

Its /var/lib/capsule and /opt are in memory, since a root file system in layers can hold no further ones.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools.place import ROOT

BOOT_S = 180
SWEEP_S = 10
_CGROUPS = Path("/sys/fs/cgroup")
_SYSTEM_CALLS = "add_key keyctl request_key bpf"
"""What runc makes of them is kept from a container otherwise."""


class Systemd:
    """One machine, which may be switched off and on."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._log = place / "console"
        self._outside: subprocess.Popen[bytes] | None = None
        self._first = 0

    def on(self) -> None:
        """Returns when it is up."""
        memory = self.place / "memory"
        with self._log.open("ab") as log:
            self._outside = subprocess.Popen(
                [
                    "systemd-nspawn", "--quiet", "--directory", self.place / "root", "--boot", "--register=no",
                    "--keep-unit", "--private-network", "--capability=all", f"--system-call-filter={_SYSTEM_CALLS}",
                    f"--machine=capsule-{os.getpid()}", f"--bind={memory / 'state'}:/var/lib/capsule",
                    f"--bind={memory / 'opt'}:/opt", f"--bind-ro={ROOT}", "--console=read-only",
                    "systemd.unit=basic.target",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"},
            )  # fmt: skip
        deadline = time.monotonic() + BOOT_S
        while not self._is_up():
            assert self._outside.poll() is None and time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.1)
        for hierarchy in _CGROUPS.iterdir():
            self.run("mount", "-o", "remount,bind,rw", str(hierarchy))

    def _is_up(self) -> bool:
        """Of the processes that systemd-nspawn has in turn, the machine's first one is the first of its namespace."""
        assert self._outside is not None
        for child in Path(f"/proc/{self._outside.pid}/task/{self._outside.pid}/children").read_text().split():
            with contextlib.suppress(FileNotFoundError):
                if re.search(r"^NSpid:.*\t1$", Path(f"/proc/{child}/status").read_text(), re.MULTILINE):
                    self._first = int(child)
                    return self.run("systemctl", "is-system-running").stdout.strip() == "running"
        return False

    def off(self) -> None:
        """As the power button does it."""
        self.run("systemctl", "poweroff")
        assert self._outside is not None
        self._outside.wait(BOOT_S)

    def run(self, *command: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        """Run a command on it."""
        options = {"capture_output": True, "text": True, "timeout": 120, "check": False} | options
        inside = [
            "nsenter",
            f"--target={self._first}",
            "--mount",
            "--pid",
            "--net",
            "--uts",
            "--ipc",
            "--cgroup",
            "--wd=/",
        ]
        return subprocess.run([*inside, "--", *command], stdin=subprocess.DEVNULL, **options)

    def kill(self) -> None:
        """Whatever state it is in."""
        if self._outside is not None and self._outside.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._first, signal.SIGKILL)
            self._outside.kill()
            self._outside.wait()


@contextmanager
def systemd() -> Iterator[Systemd]:
    """A machine that is up; it goes with all that it ran."""
    place = Path(tempfile.mkdtemp(prefix="capsule-systemd-"))
    memory, root = place / "memory", place / "root"
    memory.mkdir()
    root.mkdir()
    machine = Systemd(place)
    try:
        subprocess.run(["mount", "-t", "tmpfs", "capsule-systemd", memory], check=True)
        for name in ("upper", "work", "state", "opt"):
            (memory / name).mkdir()
            (memory / name).chmod(0o755)  # one is its root directory, which everybody on it enters
        layers = f"lowerdir=/,upperdir={memory / 'upper'},workdir={memory / 'work'}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, root], check=True)
        machine.on()
        yield machine
    finally:
        machine.kill()
        for mounted in (root, memory):
            subprocess.run(["umount", "--lazy", mounted], check=False, capture_output=True)
        _sweep_cgroups()
        shutil.rmtree(place)


def _sweep_cgroups() -> None:
    """What systemd-nspawn leaves of its own, once the kernel has let go of who was in it."""
    deadline = time.monotonic() + SWEEP_S
    left = [one / name for one in _CGROUPS.iterdir() for name in ("payload", "supervisor")]
    while any(one.exists() for one in left) and time.monotonic() < deadline:
        for directory in (directory for one in left for directory, _, _ in os.walk(one, topdown=False)):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        time.sleep(0.05)
