"""What is in the two file systems of a microVM's own."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from guest.boot import FIRST, LATER
from guest.image import kernel, python
from guest.image.house import stubs
from guest.image.python import HOME, VERSION, Sources
from guest.image.tree import PROGRAM, Tree
from journal.release import RELEASE

PYTHON = f"python{VERSION}"
DEBIAN = (
    "libc6",
    "libexpat1",
    "libffi8",
    "libgcc-s1",
    f"libpython{VERSION}-minimal",
    f"libpython{VERSION}-stdlib",
    "libstdc++6",
    f"{PYTHON}-minimal",
    "zlib1g",
)
DISTRIBUTIONS = ("grpcio", "protobuf", "typing_extensions")
SERVICE_LIBRARY = "lib"
SERVICE_NATIVE = "native"

_FIRST_MODULES = ("virtio_mmio", "virtio_blk", "virtio_console", "virtio_net", "erofs", "overlay")
_LATER_MODULES = ("squashfs", "virtio_rng", "vmw_vsock_virtio_transport")
_CORE = (
    "codecs",
    "os",
    "struct",
    "encodings/__init__",
    "encodings/aliases",
    "encodings/ascii",
    "encodings/latin_1",
    "encodings/utf_8",
)
_EXTENSIONS = ("_ctypes", "_json")
_NATIVE = ("libc.so.6", "libm.so.6", "libz.so.1", "libexpat.so.1", "libffi.so.8")
_NATIVE_LATER = ("libstdc++.so.6", "libgcc_s.so.1", "libpthread.so.0", "librt.so.1", "libdl.so.2", "libutil.so.1")
_LOADER = "lib64/ld-linux-x86-64.so.2"
_LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
_PLACES = ("base", "dev", "proc", "run", "sys", "tmp")
_INIT = f"#!/usr/bin/{PYTHON} -ISEB\nfrom guest.init import main\nmain()\n"


class Debian(NamedTuple):
    """Where Debian's packages are unpacked: the kernel's, and all others."""

    kernel: Path
    rest: Path

    def library(self, name: str) -> bytes:
        """A shared library."""
        for directory in _LIBRARIES:
            file = self.rest / directory / name
            if file.exists():
                return file.read_bytes()
        raise LookupError(f"none of Debian's packages has {name}")


def initrd(debian: Debian, house: Path, scratch: Path) -> Tree:
    """The root of the agent's PID 1. `house` is where our own packages are."""
    tree, sources = Tree(), Sources()
    for place in _PLACES:
        tree.directory(place)
    tree.node("dev/console", 5, 1)
    tree.file("init", _INIT.encode(), PROGRAM)
    tree.file(f"usr/bin/{PYTHON}", (debian.rest / f"usr/bin/{PYTHON}").read_bytes(), PROGRAM)
    tree.file(_LOADER, (debian.rest / _LOADER).resolve().read_bytes(), PROGRAM)
    for name in _NATIVE:
        tree.file(f"{_LIBRARIES[0]}/{name}", debian.library(name))
    library = debian.rest / HOME
    for name in _CORE:
        sources.add(f"{HOME}/{name}", library / f"{name}.py")
    for name in _EXTENSIONS:
        file = next((library / "lib-dynload").glob(f"{name}.cpython-*.so"))
        tree.file(f"{HOME}/lib-dynload/{file.name}", file.read_bytes())
    for package in ("guest", "sandbox"):
        for file in sorted((house / package).glob("*.py")):
            sources.add(f"{HOME}/{package}/{file.stem}", file)
    sources.compile(tree, scratch)
    directory = debian.kernel / "lib/modules"
    first = kernel.modules(directory, _FIRST_MODULES)
    later = kernel.modules(directory, _LATER_MODULES, tuple(name for name, _ in first))
    _place_modules(tree, FIRST, first)
    _place_modules(tree, LATER, later)
    return tree


def _place_modules(tree: Tree, which: str, modules: Iterable[tuple[str, bytes]]) -> None:
    for number, (name, content) in enumerate(modules):
        tree.file(f"modules/{which}/{number:02}-{name}.ko", content)


def service(debian: Debian, house: Path, scratch: Path) -> tuple[Tree, dict[str, str]]:
    """What the service has on top, and the versions of the Python packages in it."""
    tree, sources = Tree(), Sources()
    python.standard_library(sources, tree, SERVICE_LIBRARY, debian.rest / HOME)
    versions = {name: python.distribution(sources, tree, SERVICE_LIBRARY, name) for name in DISTRIBUTIONS}
    for name in _NATIVE_LATER:
        tree.file(f"{SERVICE_NATIVE}/{name}", debian.library(name))
    sources.package(f"{SERVICE_LIBRARY}/guest", house / "guest", ("image",))
    for package in ("channel", "copies", "sandbox"):
        sources.package(f"{SERVICE_LIBRARY}/{package}", house / package)
    sources.package(f"{SERVICE_LIBRARY}/capsule/guest", stubs(house) / "capsule/guest")
    sources.add(f"{SERVICE_LIBRARY}/capsule/__init__", stubs(house) / "capsule/__init__.py")
    tree.file("release", f"{RELEASE}\n".encode())
    sources.compile(tree, scratch)
    return tree, versions
