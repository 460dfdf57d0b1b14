"""Python for the images: compiled once, without its sources, in one tree that is found without a search."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

from guest.image.tree import Tree

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
HOME = f"usr/lib/python{VERSION}"
_LEFT_OUT = ("ensurepip", "idlelib", "lib2to3", "distutils", "turtledemo", "tkinter", "pydoc_data", "test", "tests")
_COMPILER = """
import importlib._bootstrap_external as external, importlib.util, sys
for line in sys.stdin:
    source, name, target = line.rstrip("\\n").split("\\t")
    content = open(source, "rb").read()
    code = compile(content, name, "exec", dont_inherit=True, optimize=0)
    data = external._code_to_hash_pyc(code, importlib.util.source_hash(content), False)
    open(target, "wb").write(data)
"""
"""In a process of its own, so that what the compiler finds in memory is always the same."""


class Sources:
    """Modules to be compiled, as (place in the image without its ending, file)."""

    def __init__(self) -> None:
        self._found: dict[str, Path] = {}

    def add(self, place: str, file: Path) -> None:
        """One."""
        self._found[place] = file

    def package(self, place: str, directory: Path, left_out: tuple[str, ...] = ()) -> None:
        """All in a directory, with all below it that is not left out by name."""
        for file in sorted(directory.rglob("*.py")):
            parts = file.relative_to(directory).with_suffix("").parts
            if not any(part in left_out for part in parts):
                self.add("/".join((place, *parts)), file)

    def compile(self, tree: Tree, scratch: Path) -> None:
        """Into the tree."""
        scratch.mkdir()
        places = sorted(self._found)
        lines = [f"{self._found[place]}\t/{place}.py\t{scratch / str(number)}" for number, place in enumerate(places)]
        environment = {"PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin"}
        command = [sys.executable, "-S", "-s", "-P", "-B", "-c", _COMPILER]
        subprocess.run(command, input="\n".join(lines) + "\n", text=True, env=environment, check=True)
        for number, place in enumerate(places):
            tree.file(f"{place}.pyc", (scratch / str(number)).read_bytes())


def standard_library(sources: Sources, tree: Tree, place: str, library: Path) -> None:
    """All of it that serves a service, below `place`; `library` is where Debian has it."""
    for file in sorted(library.glob("*.py")):
        sources.add(f"{place}/{file.stem}", file)
    for directory in sorted(path for path in library.iterdir() if (path / "__init__.py").exists()):
        if directory.name not in _LEFT_OUT:
            sources.package(f"{place}/{directory.name}", directory, _LEFT_OUT)
    for file in sorted((library / "lib-dynload").glob("*.so")):
        tree.file(f"{place}/{file.name}", file.read_bytes())


def distribution(sources: Sources, tree: Tree, place: str, name: str) -> str:
    """An installed package of this environment, below `place`; returns its version."""
    found = metadata.distribution(name)
    for path in found.files or ():
        if path.parts[0] == ".." or path.parts[0].endswith(".dist-info"):
            continue
        file = Path(str(found.locate_file(path)))
        if path.suffix == ".py":
            sources.add(f"{place}/{path.with_suffix('')}", file)
        elif path.suffix == ".so":
            tree.file(f"{place}/{path}", file.read_bytes())
    return found.version
