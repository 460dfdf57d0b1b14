"""What a path in a workload means, sent as an archive: refused before its first byte, or not at all."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from copies.errors import CopyError, copy_error, shown
from copies.opening import Opening
from copies.packing import Packer
from copies.place import Place
from copies.sinks import Sink

_LOOKED = os.O_PATH | os.O_DIRECTORY


def send(place: Place, opening: Opening, sink: Sink, ready: Callable[[], None]) -> Packer:
    """The archive of `place` into a pipe; `ready` is called once there is something to send. Returns who counted.
    Raises CopyError, and BrokenPipeError once nobody reads."""
    packer = Packer(opening, place.passed_over)
    with _source(place) as (parent, name, called):
        pieces = packer.pack(parent, name, called, place.told)
        first = next(pieces)
        ready()
        sink.take(first)
        for piece in pieces:
            sink.take(piece)
    return packer


@contextmanager
def _source(place: Place) -> Iterator[tuple[int, str, str]]:
    """The directory that the source is in, its name there, and what it is called in the archive. The last part of the
    path is not followed, unless it ends in a slash."""
    path = place.path
    parts = [part for part in path.split("/") if part and part != "."]
    if parts and parts[-1] == "..":
        raise CopyError("PATH_BAD", f"{shown(path)} ends in `..`: end it with the name of what is to be copied")
    whole = not parts or path.endswith(("/", "/."))
    try:
        parent = place.open(path if whole else "/" + "/".join(parts[:-1]), _LOOKED)
    except OSError as error:
        raise copy_error(place.told, error) from error
    try:
        if not whole:
            _check_mount(place, parent, parts[-1])
        yield parent, "." if whole else parts[-1], parts[-1] if parts else place.name
    finally:
        os.close(parent)


def _check_mount(place: Place, parent: int, name: str) -> None:
    """What something is mounted on is looked at as that."""
    try:
        is_directory = stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    except OSError as error:
        raise copy_error(place.told, error) from error
    if is_directory:
        os.close(place.open(place.path, _LOOKED))
