"""The commands in the documentation run: every `$ ` line of a console block, page by page, in its order.

A page's commands run in a directory of their own with the examples beside them. A comment behind a command may say
`exits N`. What only shows something else (`# ` prompts, other blocks) is not run.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon import BIN, Daemon, daemon

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {"cli.md", "events.md", "phases.md"}
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
    with daemon() as capsule:
        capsule.push_image()
        place = capsule.scratch / "place"
        shutil.copytree(ROOT / "examples", place / "examples")
        for command in commands(page):
            found = _EXITS.search(command)
            expected = 0 if found is None else int(found.group(1))
            done = _shell(capsule, command, place)
            assert done.returncode == expected, f"{page.name}: `{command}`: {done.stdout}{done.stderr}"


def _shell(capsule: Daemon, command: str, place: Path) -> "subprocess.CompletedProcess[str]":
    environment = capsule.environment | {
        "PATH": f"{BIN}:{Path(sys.executable).parent}:{capsule.environment['PATH']}",
        "PYTHONPATH": str(ROOT),
        "STATE": str(capsule.state),
    }
    return subprocess.run(
        ["bash", "-c", command], cwd=place, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
