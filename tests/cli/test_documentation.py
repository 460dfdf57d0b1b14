"""The commands in the documentation run: every `$ ` line of a console block, page by page, in its order.

A page's commands run on a machine with a network of its own, in a directory with the examples beside them. A comment behind a command may say
`exits N`. What only shows something else (`# ` prompts, other blocks) is not run. Where a page speaks of `$REGISTRY`,
there is one: with the demo image, a password in the file `password`, and the certificate `lan-ca.pem`.

What is not run (it wants a booted machine, or asks, or never ends) is at least a command line that there is: read by the
command line's own parser, in every block and wherever a line of prose names one.
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from cyclopts import CoercionError, CycloptsError, MissingArgumentError

from capsulectl.app import app
from capsulectl.arguments import arranged, leading_globals
from tests.support.daemon import BIN, Daemon, daemon
from tests.support.registry import PASSWORD, registry
from tests.support.site import site

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {"cli.md", "events.md", "phases.md", "remedies.md"}
PAGES = [ROOT / "README.md", *sorted(page for page in (ROOT / "docs").glob("*.md") if page.name not in GENERATED)]
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXITS = re.compile(r"#.*\bexits (\d+)")
EVERY_PAGE = [*PAGES, *(ROOT / "docs" / name for name in sorted(GENERATED - {"cli.md"}))]
"""But the one that the parser itself has written."""
_ANY_BLOCK = re.compile(r"^```.*?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
_PROMPT = re.compile(r"^\w*[$#] ")
_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)


def commands(page: Path) -> list[str]:
    """The commands of a page."""
    lines = (line for block in _BLOCK.findall(page.read_text()) for line in block.splitlines())
    return [line[2:] for line in lines if line.startswith("$ ")]


def lines_of_blocks(page: Path) -> list[str]:
    """What is typed, or printed, in the blocks of a page."""
    return [_PROMPT.sub("", line) for block in _ANY_BLOCK.findall(page.read_text()) for line in block.splitlines()]


def named_in_prose(page: Path) -> list[str]:
    """What stands in backticks outside of them, a line that was broken as one."""
    return [" ".join(span.split()) for span in _SPAN.findall(_ANY_BLOCK.sub("", page.read_text()))]


def simple_commands(line: str) -> list[list[str]]:
    """The words of each command in a line for a shell."""
    reading = shlex.shlex(line, posix=True, punctuation_chars=True)
    reading.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in reading:
        if set(word) <= set("|&;()<>"):
            found.append([])
        else:
            found[-1].append(word)
    return found


def fault(words: list[str]) -> CycloptsError | None:
    """What the command line's parser has against it; nothing is run."""
    if not leading_globals(words)[1]:
        return None  # no verb is named
    try:
        path, behind = arranged(app, words)
        app.parse_args([*path, *behind], exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return error
    return None


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: page.name)
def test_every_command_line_on_a_page_is_one_that_there_is(page: Path) -> None:
    shown = [line for line in lines_of_blocks(page) if re.search(r"(?:^|[|;&] )capsulectl ", line)]
    told = [span for span in named_in_prose(page) if span.startswith("capsulectl ")]
    wrong = [
        f"{line}: {error}"
        for line in (*shown, *told)
        for words in simple_commands(line)
        # A verb that is only named has no arguments, or NAME for one.
        if words[:1] == ["capsulectl"] and (error := fault(words[1:]))
        if not (line in told and isinstance(error, MissingArgumentError | CoercionError))
    ]
    assert not wrong


def test_what_is_advised_of_an_object_wants_nothing_more_than_its_name() -> None:
    told = [span for span in named_in_prose(ROOT / "docs" / "remedies.md") if span.startswith("capsulectl ")]
    assert not [line for line in told if "{" in line and isinstance(fault(line.split()[1:]), MissingArgumentError)]


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: page.name)
def test_no_shell_takes_a_word_for_one_of_its_history(page: Path) -> None:
    """bash does so at its prompt with `!old`, unless that stands in single quotes."""
    lines = [line for line in (*lines_of_blocks(page), *named_in_prose(page)) if line.startswith("capsulectl ")]
    assert not [line for line in lines if re.search(r"![^\s=(]", re.sub(r"'[^']*'", "", line))]


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: page.name)
def test_every_target_of_make_on_a_page_is_one_that_there_is(page: Path) -> None:
    there = set(_TARGET.findall((ROOT / "Makefile").read_text()))
    lines = [line for line in (*lines_of_blocks(page), *named_in_prose(page)) if line.startswith("make ")]
    assert {line.split()[1] for line in lines} <= there


def _needing(page: Path) -> Any:
    lends = "$REGISTRY" in page.read_text()
    return pytest.param(page, marks=[pytest.mark.needs("docker-registry", "skopeo")] if lends else [])


@pytest.mark.real
@pytest.mark.parametrize("page", [_needing(page) for page in PAGES if commands(page)], ids=lambda page: page.name)
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
