"""The wheel that `pipx install .` makes: all of the command line is in it, and it runs where there is no tree."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from journal.release import RELEASE
from tests.unit.test_tree import DECLARED
from tools.place import ROOT

TOOLS = ("pip", "setuptools")

pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(tool) for tool in TOOLS), reason=f"this environment lacks {' or '.join(TOOLS)}"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, built without a network from a copy: setuptools leaves a directory `build` where it works,
    and ours has the images."""
    tree, wheels, content = (tmp_path_factory.mktemp(name) for name in ("tree", "wheels", "content"))
    houses = {name.partition(".")[0] for name in DECLARED["tool"]["setuptools"]["packages"]}
    for house in {"gen"} | {name for name in houses if (ROOT / name).is_dir()}:
        shutil.copytree(ROOT / house, tree / house, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", DECLARED["project"]["readme"], *DECLARED["project"]["license-files"]):
        shutil.copy(ROOT / name, tree)
    made = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", wheels, tree],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    (wheel,) = wheels.iterdir()
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(content)
    return content


def run(installed: Path, place: Path, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """With what it depends on. Without `site`, which would read where the tree stands."""
    path = os.pathsep.join((str(installed), sysconfig.get_paths()["purelib"], sysconfig.get_paths()["platlib"]))
    return subprocess.run(
        [sys.executable, "-S", "-P", "-c", program, *arguments],
        cwd=place, env={"PYTHONPATH": path, "HOME": str(place), "PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command_of_the_wheel_says_its_release_where_there_is_no_tree(installed: Path, tmp_path: Path) -> None:
    (entries,) = installed.glob("*.dist-info/entry_points.txt")
    assert "capsulectl = capsulectl.__main__:main" in entries.read_text().splitlines()
    program = (
        "import sys, capsulectl.__main__ as ours\n"
        "assert ours.__file__.startswith(sys.argv.pop(1)), ours.__file__\n"
        "ours.main()\n"
    )
    done = run(installed, tmp_path, program, str(installed), "--version")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, RELEASE, "")


def test_every_command_of_the_wheel_can_be_imported(installed: Path, tmp_path: Path) -> None:
    program = (
        "import capsulectl, importlib, pkgutil\n"
        "for one in pkgutil.walk_packages(capsulectl.__path__, 'capsulectl.'):\n"
        "    one.name.endswith('__main__') or importlib.import_module(one.name)\n"
    )
    done = run(installed, tmp_path, program)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_its_packages_have_beside_their_modules_is_in_the_wheel(installed: Path) -> None:
    lacking = [
        str(path.relative_to(ROOT))
        for house in ("capsulectl", "journal", "projections", "copies")
        for path in (ROOT / house).rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not (installed / path.relative_to(ROOT)).is_file()
    ]
    assert not lacking
