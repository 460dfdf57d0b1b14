"""Copies between here and a workload, or a tar on standard input or output.

The other end is as little trusted as a stranger's archive: nothing but what was asked for is taken, and nothing lands
outside of the destination, whatever the archive says.
"""

import os
import stat
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, NamedTuple

from capsule.v1 import workload_pb2 as pb
from capsulectl import standard_input
from capsulectl.apart import apart
from capsulectl.connection import Connection, failures, metadata
from capsulectl.endings import in_order
from capsulectl.errors import USAGE, Ended, Failure
from capsulectl.heads import Question, told_in
from capsulectl.progress import Show, bar
from capsulectl.render import say
from copies.errors import CopyError, shown
from copies.frames import CHANGED, CHUNK_INTO, LEFT_OUT, framed
from copies.handing import METADATA, take
from copies.inbound import receive
from copies.opening import Plain
from copies.packing import Owner, Packer, Region, contents
from copies.sinks import Sink
from copies.sources import Pieces, Pipe
from copies.staging import Powers
from projections.words import bytes_text

STREAM = "-"
PIECE_BYTES = 1 << 20


class Inside(NamedTuple):
    """A path in a workload."""

    name: str
    path: str

    @property
    def told(self) -> str:
        """As it was written."""
        return f"{self.name}:{shown(self.path)}"


# --- into a workload -------------------------------------------------------------------------------------------------


def copy_into(connection: Connection, here: str, there: Inside, owner: Owner | None, quiet: bool) -> None:
    """What is `here`, a path or a tar on standard input, into a workload. Raises Failure."""
    if here == STREAM:
        _send(connection, _beneath(there), _stdin(), Progress("standard input"), quiet)
        return
    packer = Packer(Plain(), lambda directory: False, owner)
    with _local(here) as (parent, name, called, contents_only):
        size = _file_size(parent, name, here)
        archive = packer.pack(parent, name, called, shown(here), contents_only)
        target = _beneath(there) if contents_only else there
        _send(connection, target, archive, Progress(shown(here), size), quiet)
    _tell_rest(packer.left_out, packer.changed)


class Progress:
    """How far a copy is, on a terminal."""

    def __init__(self, what: str, total: int = 0) -> None:
        self.done = 0
        self.complete = False
        self._what = what
        self._total = total
        self._show: Show = lambda what, done, total, words: None

    @contextmanager
    def shown(self, quiet: bool) -> Iterator[None]:
        """While the block runs."""
        with bar(quiet) as self._show:
            yield

    def moved(self, count: int) -> None:
        """So many bytes more."""
        self.done += count
        done = min(self.done, self._total) if self._total else self.done
        self._show(self._what, done, self._total, "")


class _Outgoing:
    """The messages of a copy, or only its first, where the archive goes through a `pipe`. gRPC takes them on a thread
    of its own, and has no words for what goes wrong there: `failure` has. `offer` is where a pipe waits, once that is
    known; none, if it is empty."""

    def __init__(self, there: Inside, archive: Iterator[bytes | Region], progress: Progress) -> None:
        self.failure: CopyError | OSError | None = None
        self.offer: Future[str] = Future()
        self._there = there
        self._archive = archive
        self._progress = progress

    def messages(self) -> Iterator[bytes]:
        """In order."""
        target = pb.WorkloadCopyToMetadata(name=self._there.name, dest_path=self._there.path)
        yield pb.WorkloadCopyToRequest(metadata=target).SerializeToString()
        try:
            path = self.offer.result()
            pipe = take(path) if path else None
            if pipe is not None:
                self._pour(pipe)
            else:
                for piece in contents(self._archive, PIECE_BYTES):
                    yield framed(CHUNK_INTO, piece)
                    self._progress.moved(len(piece))
        except (CopyError, OSError) as error:
            self.failure = error
            raise
        self._progress.complete = True

    def _pour(self, pipe: int) -> None:
        sink = Sink(pipe, moved=self._progress.moved)
        try:
            for piece in self._archive:
                sink.take(piece)
        except BrokenPipeError:
            pass  # the answer says why nobody takes it
        finally:
            os.close(pipe)


def _send(
    connection: Connection, there: Inside, archive: Iterator[bytes | Region], progress: Progress, quiet: bool
) -> None:
    outgoing = _Outgoing(there, archive, progress)
    try:
        question = connection.heads.question()
        with in_order(), progress.shown(quiet), failures(connection.address):
            asks = _metadata(connection, question)
            call = connection.copy_into.future(outgoing.messages(), metadata=asks)
            try:
                answer = apart(lambda: _answered(connection, call, outgoing))
                connection.heads.hear(told_in(call.trailing_metadata()), question)
            finally:
                outgoing.offer.cancel()
                call.cancel()
    except Failure as failure:
        if outgoing.failure is None:
            raise
        raise Failure(f"{_words(outgoing.failure)}. Nothing was changed in {there.name}") from failure
    except (KeyboardInterrupt, Ended):
        left = f"it may have come whole to {there.told}" if progress.complete else f"nothing is changed in {there.name}"
        say(f"interrupted: {left}")
        raise
    say(f"{bytes_text(answer.bytes_received)} copied to {there.told}", quiet)


def _answered(connection: Connection, call: Any, outgoing: _Outgoing) -> Any:
    """The end of it, once the capsule has said which way the content goes."""
    outgoing.offer.set_result(_offered(connection, call))
    return call.result()


def _beneath(there: Inside) -> Inside:
    return there._replace(path=there.path.rstrip("/") + "/")


def _stdin() -> Iterator[bytes]:
    if sys.stdin.isatty():
        raise Failure("standard input is a terminal: pipe a tar in, as in `tar c DIRECTORY | capsulectl cp - …`", USAGE)
    return iter(lambda: standard_input.read(PIECE_BYTES), b"")


@contextmanager
def _local(path: str) -> Iterator[tuple[int, str, str, bool]]:
    """The directory that a path is in, open; its name there, what it is called in the archive, and whether its contents
    alone are meant. A link is copied as one, unless the path ends in a slash."""
    contents_only = path == "." or path.endswith("/.") or not path.strip("/")
    whole = contents_only or path.endswith(("/", "/..")) or path == ".."
    called = os.path.basename(os.path.realpath(path) if whole else path)
    directory = path if whole else os.path.dirname(path) or "."
    try:
        parent = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        yield parent, "." if whole else called, called, contents_only
    finally:
        os.close(parent)


def _file_size(parent: int, name: str, path: str) -> int:
    """Of what is one file; 0 for a tree, of which nobody knows before."""
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError as error:
        raise _unreadable(path, error) from error
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _unreadable(path: str, error: OSError) -> Failure:
    return Failure(f"{shown(path)} cannot be read: {error.strerror}", USAGE)


# --- out of a workload -----------------------------------------------------------------------------------------------


def copy_out(connection: Connection, there: Inside, here: str, quiet: bool) -> None:
    """What is in a workload to `here`, a path or a tar on standard output. Raises Failure."""
    progress = Progress(there.told)
    request = pb.WorkloadCopyFromRequest(name=there.name, src_path=there.path)
    question = connection.heads.question()
    try:
        with in_order(), progress.shown(quiet), failures(connection.address):
            call = connection.copy_out(request, metadata=_metadata(connection, question))
            try:
                path = _offered(connection, call)
                pipe = take(path) if path else None
                try:
                    _take(call, pipe, there, here, progress)
                finally:
                    if pipe is not None:
                        os.close(pipe)
            finally:
                call.cancel()
            notes = dict(call.trailing_metadata() or ())
            connection.heads.hear(told_in(call.trailing_metadata()), question)
    except CopyError as error:
        raise Failure(str(error)) from error
    except (KeyboardInterrupt, Ended):
        if here != STREAM:
            say("interrupted: " + ("some of it may be in place" if progress.complete else "nothing is left of it here"))
        raise
    say(f"{bytes_text(progress.done)} copied from {there.told}", quiet)
    _tell_rest(int(notes.get(LEFT_OUT, 0)), int(notes.get(CHANGED, 0)))


def _take(call: Any, pipe: int | None, there: Inside, here: str, progress: Progress) -> None:
    # Through a pipe, no message comes: the end of them is the end of the call, which tells what went wrong.
    source = (
        Pieces(iter(call), moved=progress.moved)
        if pipe is None
        else Pipe(pipe, moved=progress.moved, ended=lambda: next(call, None))
    )
    if here == STREAM:
        for piece in source:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return

    def meant() -> bool:
        progress.complete = True
        return True

    parts = [part for part in there.path.split("/") if part and part != "."]
    receive(
        _beneath_here(here) if _is_contents(there.path) else here,
        shown(here),
        lambda path: os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC),
        source,
        Plain(),
        Powers(owners=os.geteuid() == 0, set_id=False),
        meant=meant,
        only=parts[-1] if parts else there.name,
        inner=_is_contents(there.path),
    )


def _is_contents(path: str) -> bool:
    return path.endswith("/.") or path == "."


def _beneath_here(here: str) -> str:
    return here if here.endswith("/") else f"{here}/"


# --- both ------------------------------------------------------------------------------------------------------------


def _metadata(connection: Connection, question: Question) -> tuple[tuple[str, str], ...]:
    """On the machine itself, bytes need not go through the daemon: it is asked for a pipe."""
    asks = (*metadata(acting=True), *question.metadata)
    return (*asks, *(((METADATA, "wanted"),) if connection.local else ()))


def _offered(connection: Connection, call: Any) -> str:
    """Where a pipe waits for the copy, if one does."""
    return str(dict(call.initial_metadata() or ()).get(METADATA, "")) if connection.local else ""


def _words(error: CopyError | OSError) -> str:
    return str(error) if isinstance(error, CopyError) else f"{error.filename or 'a file'}: {error.strerror}"


def _tell_rest(left_out: int, changed: int) -> None:
    """What an operator should know of a copy that is good but not all there was."""
    if left_out:
        what = "1 entry was" if left_out == 1 else f"{left_out} entries were"
        say(f"{what} left out: devices, sockets, FIFOs, what the kernel makes up, or gone meanwhile")
    if changed:
        what, whose = ("1 file", "its end is") if changed == 1 else (f"{changed} files", "their ends are")
        say(f"{what} became shorter while being read: {whose} filled with zeros")


def refuse_terminal() -> None:
    """A tar is no text."""
    if sys.stdout.isatty():
        raise Failure("standard output is a terminal: a tar is no text. Send it to a file, or name a directory", USAGE)
