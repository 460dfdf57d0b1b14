"""The built disk in a virtual machine, driven as an operator drives it: by its console, and through its API."""

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from tests.support.daemon import CTL
from tests.support.lost_power import Cut, cut
from tests.support.power.disk_log import drive as logged
from tools.demo_image import archive
from tools.qemu import VARIABLES, command, copy_sparse, free_port

ROOT = Path(__file__).resolve().parents[2]
COUNTER = """
name: counter
kind: Container
container:
  image: demo:1
  command: [/bin/sh, -c]
  args: ["echo up >> /data/ups; trap 'exit 0' TERM; while true; do sleep 1; done"]
  mounts: [{volumeName: kept, mountPath: /data}]
"""
"""Its volume has a line for each of its starts."""
BOOT_S = 420
"""For a boot without hardware help, on a machine that does other things, too."""


def built() -> Path:
    """The disk, built of this very tree; what is slow of it comes from the cache."""
    subprocess.run(["make", "-s", "build/guest/manifest"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([sys.executable, "-m", "image"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return ROOT / "build/disk.raw"


class Booted:
    """One machine with a disk of its own, and with `more` devices for QEMU. The disk is larger than the image, as a
    machine's is; it is `drive` instead, in QEMU's words, where that is said."""

    def __init__(
        self, place: Path, disk: Path | None, size_gib: int = 12, more: tuple[str, ...] = (), drive: str = ""
    ) -> None:
        self.place = place
        self.more = more
        self.drive = drive
        self.port = free_port()
        self._before, self._log = place / "before.raw", place / "written.log"
        self.process: subprocess.Popen[bytes] | None = None
        if disk is not None:
            copy_sparse(disk, place / "disk.raw", size_gib << 30)
        shutil.copyfile(VARIABLES, place / "variables.fd")
        self.environment = os.environ | {"CAPSULE_CONFIG_DIR": str(place / "config"), "NO_COLOR": "1"}
        self.environment.pop("CAPSULE_HOST", None)

    # --- power ---------------------------------------------------------------------------------------------------

    def switch_on(self, noting: bool = False) -> None:
        """And return at once. `noting`: what is written to the disk from now on, so that its power can be lost."""
        (self.place / "serial").write_bytes(b"")
        ends = ("-serial", f"file:{self.place}/serial", "-qmp", f"unix:{self.place}/qmp,server=on,wait=off")
        drive, more = self.drive, (*ends, *self.more)
        if noting:
            copy_sparse(self.place / "disk.raw", self._before)
            drive = logged(self.place / "disk.raw", self._log)
        argv = command(
            self.place / "disk.raw", self.place / "variables.fd", self.port, cache="unsafe", drive=drive, more=more
        )
        nothing = subprocess.DEVNULL
        self.process = subprocess.Popen(argv, stdin=nothing, stdout=nothing, stderr=subprocess.PIPE)

    def pull_the_plug(self) -> None:
        """Nothing is tidied up."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def lose_power(self, seed: int) -> Cut:
        """The same, and of what the disk had in its cache a part is lost. It was switched on `noting`."""
        self.pull_the_plug()
        lost = cut(self._before, self._log, seed)
        self._before.replace(self.place / "disk.raw")
        self._log.unlink()
        return lost

    def until_off(self, seconds: float = 180) -> None:
        """Wait until it has switched itself off."""
        assert self.process is not None
        self.process.wait(timeout=seconds)
        self.process = None

    def monitor(self, order: str, **arguments: Any) -> None:
        """Have QEMU do something to the machine (its QMP reference has the orders)."""
        with socket.socket(socket.AF_UNIX) as connected, connected.makefile("rw") as stream:
            connected.connect(str(self.place / "qmp"))
            stream.readline()
            for said in ({"execute": "qmp_capabilities"}, {"execute": order, "arguments": arguments}):
                stream.write(json.dumps(said) + "\n")
                stream.flush()
                while "event" in (answer := json.loads(stream.readline())):
                    pass
                assert "return" in answer, answer

    # --- the console ---------------------------------------------------------------------------------------------

    @property
    def console(self) -> str:
        """What it has shown since it was switched on, without the codes that place it."""
        text = (self.place / "serial").read_bytes().decode(errors="replace")
        return re.sub(r"\x1b\[[0-9;?=]*[A-Za-z]|\r", "", text)

    def until_shown(self, pattern: str, seconds: float = BOOT_S) -> "re.Match[str]":
        """Wait for the console."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found.extend(re.finditer(pattern, self.console))
            return bool(found)

        self.until(look, f"the console shows {pattern}", seconds)
        return found[-1]

    def until(self, condition: Callable[[], object], what: str, seconds: float = 120) -> None:
        """Wait for the machine."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"QEMU ended: {self.process.communicate()[1].decode()}\n{self.console[-3000:]}")
            assert time.monotonic() < deadline, f"in vain: {what}\n{self.console[-3000:]}"
            time.sleep(0.5)

    def fingerprint(self) -> str:
        """That it shows."""
        return "".join(self.until_shown(r"fingerprint +([0-9a-f]{32})\s+([0-9a-f]{32})").groups())

    # --- the API -------------------------------------------------------------------------------------------------

    def ctl(self, *arguments: str, timeout: float = 300) -> "subprocess.CompletedProcess[str]":
        """Run capsulectl."""
        argv = [CTL, *arguments]
        return subprocess.run(
            argv, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT
        )

    def adopt(self) -> str:
        """As its operator, who reads the fingerprint from the console; returned when its boot is complete."""
        self.until_shown(r"address +10\.0\.2\.15:50000")
        fingerprint = self.fingerprint()
        self.good("adopt", f"127.0.0.1:{self.port}", "--fingerprint", fingerprint)
        self.until(self.is_up, "the boot is complete")
        return fingerprint

    def apply(self, manifest: str, *options: str, timeout: float = 300) -> None:
        """Declare this, which must succeed."""
        file = self.place / "manifest"
        file.write_text(manifest)
        self.good("apply", "-f", str(file), *options, timeout=timeout)

    def run_counter(self) -> None:
        """A container runs, with a volume."""
        self.push_image("demo:1")
        self.good("volume", "create", "kept", "64MiB")
        self.apply(COUNTER, "--wait")

    def good(self, *arguments: str, timeout: float = 300) -> str:
        """Run capsulectl, which must succeed; its output."""
        done = self.ctl(*arguments, timeout=timeout)
        assert done.returncode == 0, f"capsulectl {' '.join(arguments)}: {done.stderr}\n{self.console[-2000:]}"
        return done.stdout

    def data(self, *arguments: str) -> Any:
        """Run capsulectl with `-o json`."""
        return json.loads(self.good(*arguments, "-o", "json"))

    def history(self, *arguments: str) -> list[dict[str, Any]]:
        """Events."""
        return [json.loads(line) for line in self.good("history", *arguments, "-o", "json").splitlines()]

    def inside(self, script: str, timeout: float = 300) -> str:
        """What a shell on the machine itself prints."""
        return self.good("capsule", "debug", "-q", "--", "chroot", "/host", "sh", "-c", script, timeout=timeout)

    def bring_suite(self, *paths: str) -> None:
        """Tests of this tree, and what runs them, into the machine's /tmp/suite."""
        archive_of = io.BytesIO()
        with tarfile.open(fileobj=archive_of, mode="w") as tar:
            for path in ("tests/__init__.py", *paths):
                tar.add(ROOT / path, path)
            for name in ("pytest", "pluggy", "iniconfig", "packaging"):
                for file in distribution(name).files or ():
                    if file.parts[0] != ".." and file.suffix != ".pyc":
                        tar.add(str(file.locate()), str(file))
        argv = [
            "capsule",
            "debug",
            "-q",
            "--",
            "chroot",
            "/host",
            "sh",
            "-c",
            "mkdir -p /tmp/suite; tar -x -C /tmp/suite",
        ]
        done = subprocess.run(
            [CTL, *argv],
            env=self.environment,
            input=archive_of.getvalue(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()

    def is_up(self) -> bool:
        """Whether its boot is complete."""
        done = self.ctl("capsule", "info", "-o", "json")
        return done.returncode == 0 and bool(json.loads(done.stdout).get("bootId")) and self._has_runtime(done.stdout)

    @staticmethod
    def _has_runtime(text: str) -> bool:
        return any(one["name"] == "containerd" for one in json.loads(text).get("bootStages", ()))

    def push_image(self, name: str) -> None:
        """Bring the demo image."""
        (self.place / "demo.tar").write_bytes(archive(name))
        self.good("image", "push", str(self.place / "demo.tar"))
