"""An archive received: unpacked aside, and brought to its place once it came whole and is meant."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext

from copies.destination import Destination, Open, destination, made
from copies.errors import CopyError, copy_error
from copies.opening import Opening
from copies.reading import Archive
from copies.settling import Settler
from copies.sources import Pieces
from copies.staging import Powers, Unpacker, staged


def receive(
    path: str,
    told: str,
    open_directory: Open,
    source: Pieces,
    opening: Opening,
    powers: Powers,
    ready: Callable[[], None] = lambda: None,
    meant: Callable[[], bool] = lambda: True,
    only: str = "",
    inner: bool = False,
) -> int:
    """Unpack what `source` brings to `path`, which is `told` of. `ready` is called once there is a place, `meant` once
    everything is there: without its yes, nothing of it stays. `only`: its one entry at the top must be called so;
    `inner`: what counts is what is in that. Returns how many entries came. Raises CopyError: nothing has changed then,
    unless it says what has."""
    with destination(path, open_directory) as where, _aside(where.base, told) as aside:
        ready()
        unpacker = Unpacker(aside, powers, single=bool(where.name or only), only=only)
        unpacker.unpack(Archive(source))
        source.drain()
        if (where.name or only) and not unpacker.entries:
            raise CopyError("BAD_ARCHIVE", f"the archive is empty: there is nothing to be {told}")
        if not meant():
            raise CopyError("CALLED_OFF", "the copy was called off: nothing was changed")
        with _inside(aside, only, told) if inner else nullcontext(aside) as ready_made:
            _settle(where, ready_made, path, told, Settler(powers.owners, opening, unpacker.closed))
    return unpacker.entries


@contextmanager
def _aside(base: int, told: str) -> Iterator[int]:
    with ExitStack() as stack:
        try:
            fd = stack.enter_context(staged(base))
        except OSError as error:
            raise copy_error(told, error) from error
        yield fd


@contextmanager
def _inside(aside: int, name: str, told: str) -> Iterator[int]:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=aside)
    except OSError as error:
        raise CopyError("NOT_A_DIRECTORY", f"{told}: what came is no directory, and has no contents") from error
    try:
        yield fd
    finally:
        os.close(fd)


def _settle(where: Destination, aside: int, path: str, told: str, settler: Settler) -> None:
    try:
        with made(where) as target:
            settler.settle(aside, target, path, where.name)
    except OSError as error:
        raise copy_error(told, error) from error
    except CopyError as error:
        if not settler.moved:
            raise
        left = f"{settler.moved} of what was copied has its place already, the rest of {told} is as it was"
        raise CopyError(error.reason, f"{error}. {left}") from error
