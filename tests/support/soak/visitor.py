"""Somebody who only looks, while others change things and processes are killed: a command of each kind, again and again.

What he is told need not be good news, but it is an answer: in time, with an exit code that means something, and never a
trace of Python's.
"""

import subprocess
from collections import Counter
from pathlib import Path
from random import Random

from tests.support.daemon import Daemon
from tools.demo_image import archive

TIMEOUT_S = 60.0
ANSWERS = {0, 1, 2, 124, 125, 126, 127, 137, 143}
"""Of the exit codes of style.md, and of an exec whose workload ends."""
IMAGE = "visited:1"


class Visitor:
    """At one capsule, whose workloads are called like this."""

    def __init__(self, capsule: Daemon, names: tuple[str, ...]) -> None:
        self._capsule = capsule
        self._names = names
        self._image = capsule.scratch / "visited.tar"
        self._image.write_bytes(archive(IMAGE))
        self._archive = capsule.scratch / "visited.capsule"
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def look(self, random: Random) -> list[str]:
        """One command. What is wrong with its answer."""
        command = self._commands(random.choice(self._names), self._archive)[random.randrange(25)]
        said = f"capsulectl {' '.join(command)}"
        try:
            done = self._capsule.ctl(*command, timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return [f"{said}: no answer within {TIMEOUT_S:.0f} s"]
        self.done[command[0]] += 1
        self.refused[command[0]] += done.returncode != 0
        if done.returncode not in ANSWERS or "Traceback" in done.stderr:
            return [f"{said}: exit {done.returncode}: {done.stderr[-2000:]}"]
        return []

    def _commands(self, name: str, archive: Path) -> tuple[tuple[str, ...], ...]:
        return (
            ("list",), ("list", "-o", "json"), ("list", "--at", "2m ago"), ("get", name), ("events", name),
            ("logs", name), ("logs", name, "--tail", "3"), ("exec", name, "--", "true"), ("exec", name, "--", "ls", "/"),
            ("stats",), ("drift",), ("why", name), ("history", "-n", "50"), ("history", "--calls", "-n", "50"),
            ("history", name, "--failed"), ("diff", "1m ago", "now"), ("image", "list"),
            ("image", "push", str(self._image)), ("image", "rm", IMAGE), ("volume", "list"), ("secret", "list"),
            ("capsule", "info"), ("journal", "verify"), ("journal", "export", str(archive), "--force"),
            ("replay", "--verify"),
        )  # fmt: skip
