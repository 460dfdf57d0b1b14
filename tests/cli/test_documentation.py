"""The commands in the documentation run: every `$ ` line of a console block, page by page, in its order.

A page's commands run on a machine with a network of its own, in a directory with the examples beside them. A comment behind a command may say
`exits N`. What only shows something else (`# ` prompts, other blocks) is not run. Where a page speaks of `$REGISTRY`,
there is one: with the demo image, a password in the file `password`, and the certificate `lan-ca.pem`.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from tests.support.daemon import BIN, Daemon, daemon
from tests.support.registry import PASSWORD, registry
from tests.support.site import site

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {"cli.md", "events.md", "phases.md", "remedies.md"}
PAGES = [ROOT / "README.md", *sorted(page for page in (ROOT / "docs").glob("*.md") if page.name not in GENERATED)]
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXITS = re.compile(r"#.*\bexits (\d+)")


def commands(page: Path) -> list[str]:
    """The commands of a page."""
    lines = (line for block in _BLOCK.findall(page.read_text()) for line in block.splitlines())
    return [line[2:] for line in lines if line.startswith("$ ")]


@pytest.mark.real
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_the_commands_of_a_page_do_what_it_says(page: Path) -> None:
    with site() as machine, daemon(inside=machine.inside) as capsule:
        capsule.push_image()
        place = capsule.scratch / "place"
        shutil.copytree(ROOT / "examples", place / "examples")
        with _registry(place, machine.inside) if "$REGISTRY" in page.read_text() else nullcontext("") as host:
            capsule.environment["REGISTRY"] = host
            for command in commands(page):
                found = _EXITS.search(command)
                expected = 0 if found is None else int(found.group(1))
                done = _shell(capsule, command, place)
                assert done.returncode == expected, f"{page.name}: `{command}`: {done.stdout}{done.stderr}"


@contextmanager
def _registry(place: Path, inside: tuple[str, ...]) -> Iterator[str]:
    """One that the page's commands may use, by its host."""
    with registry(tls=True, auth="basic", inside=inside) as running:
        assert running.ca is not None
        (place / "password").write_text(PASSWORD)
        shutil.copy(running.ca.certificate_file, place / "lan-ca.pem")
        running.fill(inside)
        yield running.host


def _shell(capsule: Daemon, command: str, place: Path) -> "subprocess.CompletedProcess[str]":
    environment = capsule.environment | {
        "PATH": f"{BIN}:{Path(sys.executable).parent}:{capsule.environment['PATH']}",
        "PYTHONPATH": str(ROOT),
        "STATE": str(capsule.state),
    }
    return subprocess.run(
        [*capsule.inside, "env", "-C", str(place), "bash", "-c", command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
