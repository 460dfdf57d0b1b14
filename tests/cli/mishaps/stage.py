"""Where a mishap is played: a capsule on a machine of its own, a directory of the operator's, and a record of what was
typed and said.
"""

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.daemon import BIN, Daemon, daemon, manifest
from tests.support.site import Site, site

_TEMPORARY = re.escape(tempfile.gettempdir())
_PASSING: tuple[tuple[str, str], ...] = (
    (r"sha256:[0-9a-f]{64}", "sha256:…"),
    (r"\b[0-9a-f]{64}\b", "…"),
    (r"sha256:[0-9a-f]{12}\b", "sha256:…"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?", "<moment>"),
    (r"\b\d\d:\d\d:\d\d(\.\d+)?\b", "<time>"),
    (r"\b\d{8}-\d{6}\b", "<moment>"),
    (r"(?m)^ *\d+(  <moment>)", r"<n>\1"),
    (r"\b(run|pid|newest is|entry) \d+\b", r"\1 <n>"),
    (r"last changed at \d+, not at \d+", "last changed at <n>, not at <n>"),
    (r"next run in [\dhms. ]+", "next run in <span>"),
    (r"[\d.]+ KiB, of [\d.]+ KiB of data", "<size>, of <size> of data"),
    (r"the storage has .*", "the storage has <so much>"),
    (r"--expect-seq \d+", "--expect-seq <n>"),
    (r"\bfor \d+ s:", "for <n> s:"),
    (r"Next try in \w+", "Next try in <span>"),
    (r"\bcapsule-[0-9a-f]{4}\b", "<capsule>"),
    (rf"{_TEMPORARY}/capsule-[a-z]+-\w+/state", "<state>"),
    (rf"{_TEMPORARY}/capsule-[a-z]+-\w+", "<scratch>"),
)
"""What is another one each time, and what stands for it."""


class Stage:
    """`said` is the record. `environment` may be changed: it is this mishap's own."""

    def __init__(self, site: Site, capsule: Daemon, place: Path) -> None:
        self.site = site
        self.capsule = capsule
        self.place = place
        self.environment = capsule.environment | {"COLUMNS": "100", "LC_ALL": "C.UTF-8", "TERM": "dumb"}
        self.said: list[str] = []
        self._passing: list[tuple[str, str]] = [(re.escape(str(place)), "<here>")]

    def beside(self, site: Site, capsule: Daemon) -> "Stage":
        """What is typed at another machine, into the same record."""
        other = Stage(site, capsule, self.place)
        other.said, other._passing = self.said, self._passing
        return other

    def stands_for(self, text: object, word: str) -> None:
        """In the record this is `<word>`: a port, a name of the machine's own choice."""
        self._passing.insert(0, (rf"(?<![\w.]){re.escape(str(text))}(?!\w)", f"<{word}>"))

    def file(self, name: str, content: str | bytes, shown: bool = True) -> Path:
        """A file of the operator's, shown as he would look at it."""
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if shown and isinstance(content, str):
            self.said.append(f"$ cat {name}\n{content.rstrip()}")
        return path

    def apart(self, *arguments: str, stdin: str | None = None) -> None:
        """What has to be so before; it succeeds, and is not in the record."""
        self.capsule.good(*arguments, stdin=stdin)

    def runs(self, name: str, script: str = "sleep 1000", wait: str = "running", **fields: Any) -> None:
        """A container that runs this script, and does so by now; not in the record."""
        self.apart("apply", "-f", "-", stdin=manifest(name, script, **fields))
        if wait:
            self.apart("wait", name, "--for", wait)

    def types(self, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        """A command line, what it prints, and its exit code if that is not 0."""
        shown = " ".join(f"'{one}'" if re.search(r"[\s;&|]", one) or not one else one for one in arguments)
        return self._noted(f"capsulectl {shown}", [str(BIN / "capsulectl"), *arguments], **options)

    def shell(self, line: str, shown: str = "", **options: Any) -> "subprocess.CompletedProcess[str]":
        """The same of a line for bash; `shown` is how an operator would type it."""
        return self._noted(shown or line, ["bash", "-c", line], **options)

    def _noted(self, shown: str, argv: list[str], **options: Any) -> "subprocess.CompletedProcess[str]":
        environment = self.environment | {"PATH": f"{BIN}:{os.environ['PATH']}"}
        options = {"stdin": subprocess.DEVNULL, "timeout": 90} | options
        if "input" in options:
            del options["stdin"]
        there = [*self.site.inside, "sh", "-c", 'cd "$0" && exec "$@"', str(self.place), *argv]
        done = subprocess.run(
            there, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options
        )
        self.note(shown, done.stdout, done.returncode)
        return done

    def note(self, shown: str, output: str, code: int) -> None:
        """Something that was typed, and what came of it."""
        lines = [f"$ {shown}", *(line.rstrip() for line in output.splitlines())]
        self.said.append("\n".join([*lines, f"(exit {code})"] if code else lines))

    def told(self) -> str:
        """The record, without what is another one each time."""
        text = "\n\n".join(self.said) + "\n"
        for pattern, word in (*self._passing, *_PASSING):
            text = re.sub(pattern, word, text)
        return text

    def tidy(self) -> None:
        """Of what was made nothing stays."""
        for noun, verb in (("workload", "delete"), ("volume", "delete"), ("secret", "rm")):
            names = self.capsule.ctl(noun, "list", "-o", "name").stdout.split()
            names = [name.rpartition("/")[2] for name in names]
            if names:
                self.capsule.ctl(noun, verb, *names, "--yes")


@contextmanager
def stage(machine: Site, capsule: Daemon, place: Path) -> Iterator[Stage]:
    """One, that is tidied up behind it."""
    place.mkdir(parents=True, exist_ok=True)
    made = Stage(machine, capsule, place)
    try:
        yield made
    finally:
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            made.tidy()


@contextmanager
def scene() -> Iterator[tuple[Site, Daemon]]:
    """A machine with a capsule that has the demo image, and whom the network reaches at its usual port."""
    with site() as place, daemon(start=False, inside=place.inside) as capsule:
        capsule.start("--listen", "127.0.0.1:50000")
        capsule.push_image()
        yield place, capsule
