"""A hosted daemon for tests, driven as an operator drives it: by its command line."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from capsuled.layout import hosted
from tests.support.leftovers import mounts_below, processes_naming
from tests.support.runtime import containerd_pid
from tools.demo_image import archive

BIN = Path(sys.executable).parent
HALT_S = 180
"""Longer than a halt may take: 90 s for what runs, and some for the machine."""
CTL, CAPSULED = str(BIN / "capsulectl"), str(BIN / "capsuled")


class Daemon:
    """One state directory, and the daemon on it."""

    def __init__(self, scratch: Path, inside: tuple[str, ...] = (), state: Path | None = None) -> None:
        self.scratch = scratch
        self.state = state or scratch / "state"
        self.inside = inside
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = os.environ | {
            "CAPSULE_CONFIG_DIR": str(scratch / "config"),
            "CAPSULE_HOST": f"unix:{self.state}/capsule.sock",
            "NO_COLOR": "1",
        }
        self.environment.pop("PYTHONPATH", None)
        # Who made a place for the state may have mounted something there, and unmounts it.
        self._others = frozenset(self._mounts())

    def start(self, *options: str, wait: bool = True, default_port: bool = False) -> None:
        """Start it, and wait until it answers. On the network it serves nowhere, unless an option says where, or
        `default_port` that it is left to it."""
        with (self.scratch / "out").open("ab") as out:
            where = () if default_port or "--listen" in options else ("--listen", "none")
            command = [*self.inside, CAPSULED, "--state", str(self.state), *where, *options]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        if wait:
            self.until(lambda: self.ctl("capsule", "info").returncode == 0, "capsuled answers")

    def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, as an init system does it."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=30)

    def output(self) -> str:
        """What it wrote."""
        return (self.scratch / "out").read_text()

    def ctl(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
        """Run capsulectl."""
        return subprocess.run(
            [CTL, *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def good(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
        """Run capsulectl, which must succeed; its output."""
        done = self.ctl(*arguments, stdin=stdin, timeout=timeout)
        assert done.returncode == 0, f"capsulectl {' '.join(arguments)}: {done.stderr}\n{self.output()[-2000:]}"
        return done.stdout

    def data(self, *arguments: str) -> Any:
        """Run capsulectl with `-o json`."""
        return json.loads(self.good(*arguments, "-o", "json"))

    def status(self, name: str) -> dict[str, Any]:
        """A workload's status."""
        found: dict[str, Any] = self.data("get", name)["status"]
        return found

    def until(self, condition: Callable[[], object], what: str, seconds: float = 30) -> None:
        """Wait for the world; tests may poll, the daemon may not."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"capsuled ended: {self.output()[-2000:]}")
            assert time.monotonic() < deadline, f"in vain: {what}\n{self.output()[-2000:]}"
            time.sleep(0.05)

    def containerd_pid(self) -> int:
        """The process id of the containerd it supervises."""
        return containerd_pid(self.state / "containerd" / "config.toml")

    def until_gone(self, pid: int, seconds: float = 30) -> None:
        """Wait for a process to end, daemon or not."""
        deadline = time.monotonic() + seconds
        while Path(f"/proc/{pid}").exists():
            assert time.monotonic() < deadline, f"{pid} lives on"
            time.sleep(0.05)

    def push_image(self, name: str = "demo:1") -> None:
        """Bring the demo image."""
        path = self.scratch / "demo.tar"
        path.write_bytes(archive(name))
        self.good("image", "push", str(path))

    def apply(self, manifest: str, *options: str) -> str:
        """Apply text."""
        return self.good("apply", "-f", "-", *options, stdin=manifest)

    def namespace(self, name: str) -> str:
        """The path of a bridged workload's network namespace, on the daemon's machine."""
        return f"{hosted(self.state).namespaces}/{name}.{self.data('get', name)['uid']}"

    def history(self, *arguments: str) -> list[dict[str, Any]]:
        """Events."""
        return [json.loads(line) for line in self.good("history", *arguments, "-o", "json").splitlines()]

    def closed(self, opened: int) -> dict[str, Any]:
        """How the stream that this entry opened ended: a client may know of it before it is written down."""

        def ends() -> list[dict[str, Any]]:
            return [one["body"] for one in self.history("--type", "stream.closed") if one["body"]["opened"] == opened]

        self.until(ends, f"the end of stream {opened} is known")
        (end,) = ends()
        return end

    def copy_out(self, part: str, target: Path) -> None:
        """Keep a part of the state, for whoever looks into what went wrong."""
        shutil.copytree(self.state / part, target / part, dirs_exist_ok=True)

    def _mounts(self) -> list[str]:
        return mounts_below((self.scratch, self.state, hosted(self.state).run), self.inside)

    def close(self) -> None:
        """Nothing is left, whatever happened. Where a halt leaves something, that is a finding."""
        try:
            if self.process is not None and self.process.poll() is None:
                self.kill()
            halted = subprocess.run(
                [*self.inside, CAPSULED, "--state", str(self.state), "--halt"],
                env=self.environment, capture_output=True, text=True, timeout=HALT_S, check=False,
            )  # fmt: skip
            left = [one for one in self._mounts() if one not in self._others]
            left += processes_naming((self.state, hosted(self.state).run))
            assert not left, f"a halt leaves {left}: {halted.stdout}{halted.stderr}{self.output()[-2000:]}"
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)


@contextmanager
def daemon(start: bool = True, inside: tuple[str, ...] = (), state: Path | None = None) -> Iterator[Daemon]:
    """A daemon in a directory of its own; `inside` is the prefix that runs it on a machine of its own (site.py), `state`
    a place for its state that somebody else made.
    """
    made = Daemon(Path(tempfile.mkdtemp(prefix="capsule-daemon-")), inside, state)
    try:
        if start:
            made.start()
        yield made
    finally:
        made.close()


def manifest(name: str, script: str, **fields: Any) -> str:
    """A container that runs a shell script."""
    container = {
        "image": "demo:1",
        "command": ["sh", "-c", script],
        "networkMode": "NONE",
        "stopGraceSeconds": 1,
        **fields,
    }
    return json.dumps({"name": name, "kind": "Container", "container": container})


SERVE = "trap 'exit 0' TERM; echo ready; while :; do sleep 1 & wait $!; done"
