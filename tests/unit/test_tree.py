"""The tree as it is installed and as it is run in place."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from journal.release import RELEASE
from tools.place import ROOT, place

DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_what_is_installed_is_every_package_of_the_house() -> None:
    setup = DECLARED["tool"]["setuptools"]
    generated = setup["package-dir"]
    # Those that the contracts are about, and the stubs: what only makes or tests the house (image, tools, tests, bench)
    # is run from the tree, and is none of them.
    houses = {*DECLARED["tool"]["importlinter"]["root_packages"], *filter(None, generated)}
    found = {
        ".".join((house, *path.parent.relative_to(ROOT / generated.get(house, house)).parts))
        for house in houses
        for path in (ROOT / generated.get(house, house)).rglob("*.py")
    }
    assert set(setup["packages"]) == found


def test_what_is_installed_imports_nothing_of_the_tree_that_is_not() -> None:
    packages = set(DECLARED["tool"]["setuptools"]["packages"])
    ours = set(DECLARED["tool"]["ruff"]["lint"]["isort"]["known-first-party"])
    imports = re.compile(r"^\s*(?:from|import) (\w+)", re.MULTILINE)
    lacking = {
        f"{path.relative_to(ROOT)}: {root}"
        for house in packages & {path.name for path in ROOT.iterdir()}
        for path in (ROOT / house).rglob("*.py")
        for root in imports.findall(path.read_text())
        if root in ours - packages
    }
    assert not lacking


def test_commands_run_from_the_tree_that_they_were_placed_for(tmp_path: Path) -> None:
    place(ROOT, tmp_path, tmp_path, sys.executable)
    assert (tmp_path / "capsule.pth").read_text().splitlines() == [str(ROOT), str(ROOT / "gen")]
    said = subprocess.run([tmp_path / "capsulectl", "--version"], capture_output=True, text=True, check=True).stdout
    assert said.strip() == RELEASE
    assert (tmp_path / "capsuled").stat().st_mode & 0o111


def test_what_the_contracts_call_pure_is_what_coverage_is_measured_of() -> None:
    pure = {
        module
        for contract in DECLARED["tool"]["importlinter"]["contracts"]
        if contract["name"].startswith(("the pure core", "what the pure core imports"))
        for module in contract["source_modules"]
    }
    measured = {one.removesuffix("/*").removesuffix(".py") for one in DECLARED["tool"]["coverage"]["run"]["include"]}
    assert measured == {module.replace(".", "/") for module in pure}


def test_commands_stand_in_their_page_as_they_are_typed_and_not_as_the_page_was_made() -> None:
    assert "tools.docs" not in (ROOT / "docs/cli.md").read_text()


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """Lines that can be broken, with their numbers: not those of tables, of what is quoted, or of one long word."""
    quoted = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        quoted ^= line.lstrip().startswith("```")
        if not quoted and not line.startswith(("|", "#")) and " " in line.strip():
            yield number, line


def test_prose_is_written_in_lines_as_short_as_the_codes() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    long = [
        f"{page.relative_to(ROOT)}:{number}"
        for page in pages
        if page.name not in ("cli.md", "events.md")
        for number, line in prose(page)
        if len(line) > DECLARED["tool"]["ruff"]["line-length"]
    ]
    assert not long, "break these lines"


def test_every_package_that_is_asked_for_has_its_licence_and_its_reason() -> None:
    page = (ROOT / "docs/dependencies.md").read_text()
    project = DECLARED["project"]
    asked = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    assert sorted(re.findall(r"^\| `(\S+)` \|", page, re.MULTILINE)) == sorted(
        re.split(r"[><=]", one)[0] for one in asked
    )
