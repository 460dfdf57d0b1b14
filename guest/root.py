"""The payload's file system, made by the process that is to become it, in a mount namespace of its own."""

import os

from guest import kernel
from guest.devices import LINKS, NODES
from guest.mounts import TREE, Mount

_ROOT = "/run/root"
_NODE, _EVERYBODY = 0o20000, 0o666


def enter(wanted: list[Mount], masked: list[str], read_only_paths: list[str], read_only: bool, cwd: str) -> None:
    """Everything that can be named is the payload's own from now on. A working directory that is missing is made.
    Raises OSError."""
    kernel.private("/")
    trees = {one.source: kernel.tree(one.source) for one in wanted if one.kind == TREE}
    kernel.pivot(_ROOT)
    for one in wanted:
        _mount(one, trees)
        if one.target == "/dev" and one.kind == "tmpfs":
            _fill_dev()
    for path in masked:
        _mask(path)
    for path in read_only_paths:
        if os.path.exists(path):
            kernel.bind(path, path, kernel.RDONLY | kernel.NOSUID | kernel.NODEV | kernel.NOEXEC)
    try:
        os.makedirs(cwd, exist_ok=True)
    except OSError:
        pass  # whoever enters it says why it cannot be entered
    if read_only:
        kernel.change("/", kernel.RDONLY)


def _mount(one: Mount, trees: dict[str, int]) -> None:
    target = os.path.realpath(one.target)
    if one.file:
        _make_file(target)
    else:
        os.makedirs(target, exist_ok=True)
    if one.kind != TREE:
        kernel.mount(one.kind, one.source, target, one.flags, one.options)
        return
    kernel.place(trees[one.source], target)
    os.close(trees[one.source])
    if one.flags:
        kernel.change(target, one.flags)


def _make_file(path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
    except IsADirectoryError:
        raise OSError(f"{path} is a directory in the image, and a file of the run's own is to be there") from None


def _fill_dev() -> None:
    for name, major, minor in NODES:
        path = f"/dev/{name}"
        os.mknod(path, _NODE | _EVERYBODY, os.makedev(major, minor))
        os.chmod(path, _EVERYBODY)
    for name, target in LINKS:
        os.symlink(target, f"/dev/{name}")


def _mask(path: str) -> None:
    """Nothing can be read there."""
    if os.path.isdir(path):
        kernel.mount("tmpfs", "tmpfs", path, kernel.RDONLY, "size=0")
    elif os.path.exists(path):
        kernel.bind("/dev/null", path)
