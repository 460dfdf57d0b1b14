"""`make demo`: the five-minute tour, for real, on a private directory; every command is printed before it runs."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tools import hosted, root
from tools.demo_image import archive

ROOT = Path(__file__).resolve().parent.parent


class Demo:
    """A tour in one directory."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.state = scratch / "state"
        self.environment = os.environ | {
            "PATH": f"{hosted.BIN}:{os.environ['PATH']}",
            "CAPSULE_CONFIG_DIR": str(scratch / "config"),
            "CAPSULE_HOST": f"unix:{self.state}/capsule.sock",
        }

    def say(self, text: str) -> None:
        print(f"\n\033[1m# {text}\033[0m" if sys.stdout.isatty() else f"\n# {text}", flush=True)

    def run(self, *command: str, expect: int = 0, stdin: str | None = None) -> str:
        """Print and run one command; a wrong exit code ends the demo."""
        print(f"$ {shlex.join(command)}", flush=True)
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, input=stdin, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        print(done.stdout, end="", flush=True)
        if done.returncode != expect:
            raise SystemExit(f"expected exit code {expect}, got {done.returncode}")
        return done.stdout

    def tour(self) -> None:
        """All of it."""
        self.say("A daemon on a private directory")
        print(f"$ capsuled --state {self.state} &")
        hosted.start(self.state)
        self.run("capsulectl", "capsule", "info")

        self.say("A small image, built offline from the machine's own busybox, goes into the cache")
        image = self.scratch / "demo.tar"
        image.write_bytes(archive("demo:1"))
        self.run("capsulectl", "image", "push", str(image))
        self.run("capsulectl", "image", "list")

        self.say("First what would happen, then let it happen")
        self.run("capsulectl", "apply", "-f", "examples/hello.yaml", "--dry-run")
        self.run("capsulectl", "apply", "-f", "examples/hello.yaml", "--wait")
        self.run("capsulectl", "list")
        self.run("capsulectl", "logs", "hello")
        self.run("capsulectl", "exec", "hello", "--", "sh", "-c", "id; exit 3", expect=3)

        self.say("Change the declaration: what differs, and apply it again")
        changed = self.scratch / "hello.yaml"
        changed.write_text((ROOT / "examples/hello.yaml").read_text().replace("hello, $WHO", "good evening, $WHO"))
        self.run("capsulectl", "diff", "-f", str(changed), expect=1)
        self.run("capsulectl", "apply", "-f", str(changed), "--wait")
        self.run("capsulectl", "apply", "-f", str(changed))
        self.run("capsulectl", "logs", "hello")

        self.say("Kill the daemon outright; the container runs on, and the daemon finds it again")
        before = self.run("capsulectl", "get", "hello", "-o", "yaml").partition("pid: ")[2].split()[0]
        pid = hosted.daemon_pid(self.state)
        print(f"$ kill -9 {pid}")
        os.kill(pid, signal.SIGKILL)
        self.run("capsulectl", "list", expect=1)
        print(f"$ capsuled --state {self.state} &")
        hosted.start(self.state)
        self.run("capsulectl", "wait", "hello", "--for", "running")
        after = self.run("capsulectl", "get", "hello", "-o", "yaml").partition("pid: ")[2].split()[0]
        if before != after:
            raise SystemExit(f"the container did not survive: process {before}, now {after}")

        self.say("The machine remembers: who did what, and what came of it")
        history = self.run("capsulectl", "history")
        applied = [line.split()[0] for line in history.splitlines() if "workload.applied" in line]
        self.run("capsulectl", "history", "show", applied[-1])

        self.say("And it can prove it")
        self.run("capsulectl", "journal", "verify")
        self.run("capsulectl", "replay", "--verify")
        self.run("capsulectl", "delete", "hello", "--yes")

    def close(self) -> None:
        """Leave the machine as it was."""
        if self.state.exists():
            hosted.stop(self.state)
        shutil.rmtree(self.scratch)


def main() -> None:
    """Run the tour; whatever happens, stop what it started."""
    root.require()
    demo = Demo(Path(tempfile.mkdtemp(prefix="capsule-demo-")))
    try:
        demo.tour()
    finally:
        demo.close()
    print("\nThat was it. Everything the demo started is stopped; `make up` starts a daemon that stays.")


if __name__ == "__main__":
    main()
