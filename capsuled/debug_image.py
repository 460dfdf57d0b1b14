"""An image for debugging, built from the machine's own programs: there also on the day on which no registry answers.

A busybox that needs no libraries is copied into the image. Where there is none the image is an empty root, and the
machine's own programs and libraries are bound at the places where they are at home.
"""

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path

import msgspec

from capsuled.processes import CommandFailed, run
from effects.errors import ImageMissing
from effects.images.building import Layer, Made, made
from effects.images.platform import architecture

SHELL = "/bin/sh"
_BUSYBOXES = ("bin/busybox", "usr/bin/busybox", "usr/lib/initramfs-tools/bin/busybox", "sbin/busybox")
_PROGRAMS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr")
BINDS = ("/perm", "/sys", "/dev", "/run/capsule")
"""Of the machine, at their own places, where it has them; all of it is below /host besides."""
_DIRECTORIES = ("etc", "host", "proc", "root", "run", "tmp", "var", *(place.lstrip("/") for place in BINDS))
_FILES = {
    # What is mounted over is there: on a full disk nobody could make it.
    "etc/hosts": b"",
    "etc/hostname": b"",
    "etc/resolv.conf": b"",
    "etc/passwd": b"root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    "etc/group": b"root:x:0:\nnogroup:x:65534:\n",
}
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_ELF = b"\x7fELF"
_INTERPRETER = 3
"""A program header of this type names the loader of a program that needs libraries. Source: elf(5)."""


class BuiltImage(msgspec.Struct, frozen=True):
    """`tree` is its one layer; `binds` are directories of the machine that have to be there, read-only."""

    name: str
    built_from: str
    tree: bytes
    binds: tuple[str, ...] = ()

    def made(self) -> Made:
        """As it is pushed, and the digest that nobody else's image of this name has."""
        return made(self.name, self.tree, architecture().name, {"Cmd": [SHELL], "Env": [_PATH]})


async def debug_image(root: Path = Path("/")) -> BuiltImage:
    """The image that can be built of what is below `root`. Raises ImageMissing where there is no shell at all."""
    for place in _BUSYBOXES:
        program = root / place
        if needs_no_libraries(program):
            try:
                applets = (await run(str(program), "--list")).decode().split()
            except (CommandFailed, OSError):
                continue  # of another processor, or broken
            return _of_busybox(program, f"/{place}", applets)
    if (root / SHELL.lstrip("/")).exists():
        return _of_the_machine(root)
    raise ImageMissing(
        f"this machine has neither a busybox that needs no libraries nor {SHELL}, so no image can be built from it: "
        "bring one with `capsulectl image push FILE`, and name it with --image"
    )


def _of_busybox(program: Path, place: str, applets: list[str]) -> BuiltImage:
    content, tree = program.read_bytes(), _ground()
    tree.directory("bin")
    tree.file("bin/busybox", content, 0o755)
    for applet in sorted({*applets, "sh"} - {"busybox"}):
        tree.link(f"bin/{applet}", "busybox")
    return _named("busybox", place, tree)


def _of_the_machine(root: Path) -> BuiltImage:
    """A directory of programs may be a link into another, as /bin is into /usr; then it is one here, too."""
    tree, binds = _ground(), []
    for name in _PROGRAMS:
        place = root / name
        if place.is_symlink():
            tree.link(name, str(place.readlink()))
        elif place.is_dir():
            tree.directory(name)
            binds.append(f"/{name}")
    return _named("machine", SHELL, tree, tuple(binds))


def _ground() -> Layer:
    tree = Layer()
    for name in _DIRECTORIES:
        tree.directory(name, 0o1777 if name == "tmp" else 0o755)
    for name, content in _FILES.items():
        tree.file(name, content)
    return tree


def _named(kind: str, built_from: str, layer: Layer, binds: tuple[str, ...] = ()) -> BuiltImage:
    """By its content: one that is in the cache already is the same, and another gets a name of its own."""
    tree = layer.packed()
    name = f"docker.io/library/capsule-debug:{kind}-{hashlib.sha256(tree).hexdigest()[:12]}"
    return BuiltImage(name, built_from, tree, binds)


def needs_no_libraries(program: Path) -> bool:
    """Whether a file is a program that runs in an empty root."""
    try:
        with program.open("rb") as file:
            head = file.read(4_096)
    except OSError:
        return False
    try:
        return head.startswith(_ELF) and _INTERPRETER not in _headers(head)
    except struct.error:
        return False


def _headers(head: bytes) -> Iterator[int]:
    """The types of an ELF file's program headers."""
    kind, data = struct.unpack_from("BB", head, len(_ELF))
    wide, order = kind == 2, "<" if data == 1 else ">"
    (start,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", head, 32 if wide else 28)
    size, count = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
    for number in range(count):
        yield struct.unpack_from(f"{order}I", head, start + number * size)[0]
