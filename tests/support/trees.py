"""Trees of files and archives for tests of copies, and what a tree is, for comparing."""

import io
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from copies.inbound import receive
from copies.opening import Opening, Plain
from copies.packing import Owner, Packer, contents
from copies.sources import Pieces
from copies.staging import STEM, Powers

POWERS = Powers(owners=False, set_id=True)


def facts(root: Path, owners: bool = False, times: bool = False) -> dict[str, tuple[Any, ...]]:
    """What is below a directory, by its path there: kind, mode, time in seconds, and content or target. A directory's
    own time says only that something was in it for a moment: it counts with `times`."""
    found: dict[str, tuple[Any, ...]] = {}
    for name in sorted(_names(root)):
        path = Path(name)
        info = path.lstat()
        content: object = ""
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = path.read_bytes()
        mode = 0 if path.is_symlink() else stat.S_IMODE(info.st_mode)
        who = (info.st_uid, info.st_gid) if owners else ()
        moment = int(info.st_mtime) if times or not stat.S_ISDIR(info.st_mode) else 0
        found[str(path.relative_to(root))] = (stat.S_IFMT(info.st_mode), mode, moment, content, *who)
    return found


def _names(root: Path) -> Iterator[str]:
    """Everything below, without asking where a link leads: a hostile one's target may be no path at all."""
    for directory, below, files in os.walk(root):
        yield from (os.path.join(directory, name) for name in (*below, *files))


def packed(path: Path, called: str = "", opening: Opening | None = None, owner: Owner | None = None) -> bytes:
    """The archive of a path."""
    parent = os.open(path.parent, os.O_RDONLY)
    try:
        packer = Packer(opening or Plain(), lambda directory: False, owner)
        return b"".join(contents(packer.pack(parent, path.name, called or path.name, str(path)), 1 << 20))
    finally:
        os.close(parent)


def unpack(archive: bytes, path: str, *, size: int = 1 << 16, powers: Powers = POWERS, **more: Any) -> int:
    """An archive to a path on this machine, in pieces of `size`. Raises CopyError."""
    return receive(path, path, directory, Pieces(cut(archive, size)), Plain(), powers, **more)


def directory(path: str) -> int:
    """Opens one."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


def cut(content: bytes, size: int) -> Iterator[bytes]:
    """In pieces."""
    return (content[start : start + size] for start in range(0, len(content), size))


def member(name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", link: str = "", **more: Any) -> Any:
    """One entry for `tar`: its header and content."""
    made = tarfile.TarInfo(name)
    made.type, made.size, made.linkname = kind, len(content), link
    made.mode = more.pop("mode", 0o755 if kind == tarfile.DIRTYPE else 0o644)
    for key, value in more.items():
        setattr(made, key, value)
    return made, content


def tar(*members: Any, format: int = tarfile.PAX_FORMAT) -> bytes:
    """An archive, as Python's own writer makes it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as made:
        for info, content in members:
            made.addfile(info, io.BytesIO(content))
    return out.getvalue()


def left_aside(paths: Iterable[str]) -> list[str]:
    """What of an unpacking was not tidied up."""
    return [path for path in paths if STEM in path]
