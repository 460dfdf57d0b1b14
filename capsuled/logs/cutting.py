"""Making room: whole runs, and the fronts of files. Called away from the loop, as a file system may take its time.

Each step is one operation that is done or not done, whenever the daemon dies, and none depends on another: done again,
they come to the same. No line is moved, so none is lost or doubled.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from capsuled.logs.files import INDEX_SUFFIX, SERIAL_SUFFIX, SUFFIXES, header_at, path_of
from capsuled.logs.holes import ALIGN_BYTES, FAR_BYTES, NoHoles, front_of, punch
from capsuled.logs.index import BLOCK_BYTES, ERR, OUT, droppable
from capsuled.logs.retention import Cut


def cut_runs(directory: Path, uid: int, planned: Sequence[Cut], present: int, index_bytes: int) -> list[int] | None:
    """Do what was planned. Where files cannot be cut, an ended run goes whole, and of the present one the answer names
    the streams that must be emptied and the index begun anew; None when all is done. Raises OSError."""
    whole: list[int] = []
    for cut in planned:
        if cut.whole:
            remove(directory, uid, cut.run)
        elif cut.run == present:
            whole = _cut_streams(directory, uid, cut)
        elif _cut_streams(directory, uid, cut) or not cut_index(directory, uid, cut.run, index_bytes):
            remove(directory, uid, cut.run)
    if whole or not cut_index(directory, uid, present, index_bytes):
        return whole
    return None


def remove(directory: Path, uid: int, run: int) -> None:
    """Nothing of a run's log is left."""
    # The index goes first: `runs_of` finds what is left of a removal that was cut short, and it is removed again.
    for suffix in (INDEX_SUFFIX, SERIAL_SUFFIX, *SUFFIXES.values()):
        path_of(directory, uid, run, suffix).unlink(missing_ok=True)


def _cut_streams(directory: Path, uid: int, cut: Cut) -> list[int]:
    """Cut a run's streams; those that could not be."""
    wanted = ((OUT, cut.keep_out), (ERR, cut.keep_err))
    return [s for s, keep in wanted if not cut_front(path_of(directory, uid, cut.run, SUFFIXES[s]), keep)]


def cut_front(path: Path, keep_bytes: int) -> bool:
    """Let go of a file's front so that about `keep_bytes` stay, in whole blocks.

    False where that cannot be done, and for a file that has come near the end of what a file can be.
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        upto = min(size, -(-(size - keep_bytes) // ALIGN_BYTES) * ALIGN_BYTES)
        if upto <= front_of(fd):
            return True
        if size > FAR_BYTES:
            return False
        punch(fd, upto)
    except NoHoles:
        return False
    finally:
        os.close(fd)
    return True


def cut_index(directory: Path, uid: int, run: int, keep_bytes: int) -> bool:
    """Let go of index blocks about bytes that are gone, and of the oldest beyond `keep_bytes`.

    False where that cannot be done although it is needed.
    """
    fronts = [_front(path_of(directory, uid, run, suffix)) for suffix in SUFFIXES.values()]
    try:
        fd = os.open(path_of(directory, uid, run, INDEX_SUFFIX), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True  # the disk was full when it was to be made: the run's bytes are cut all the same
    try:
        size = os.fstat(fd).st_size
        first = front_of(fd) // BLOCK_BYTES
        headers = [header_at(fd, number) for number in range(first, -(-size // BLOCK_BYTES))]
        gone = droppable(headers, fronts[0], fronts[1], max(1, keep_bytes // BLOCK_BYTES))
        if gone:
            punch(fd, (first + gone) * BLOCK_BYTES)
    except NoHoles:
        return size <= keep_bytes
    finally:
        os.close(fd)
    return True


def _front(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return front_of(fd)
    finally:
        os.close(fd)
