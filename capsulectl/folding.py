"""An archive's fold, here, without a machine: from the empty state, or from what the archive begins with."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

from capsulectl.errors import USAGE, Failure
from journal.archive import Archive
from journal.codec import BadBody, UnknownBase, UnknownMust, check_needs, decode
from journal.entry import UNREADABLE, Header, Stored
from journal.errors import ContentGone, JournalError
from journal.events import Event
from projections.encoding import decode_state, needs_of
from projections.fold import fold
from projections.state import Machine


@contextmanager
def archive_in(file: str) -> Iterator[Archive]:
    """The archive that a file is. Raises Failure; what whoever reads it meets with elsewhere is his own."""
    with ExitStack() as stack:
        try:
            source = stack.enter_context(open(file, "rb"))
        except OSError as error:
            raise Failure(f"{file} cannot be read: {error.strerror}", USAGE) from error
        yield opened(source, file)


def opened(source: BinaryIO, name: str) -> Archive:
    """The archive in an open file. Raises Failure."""
    try:
        return Archive(source)
    except OSError as error:
        raise Failure(f"{name} cannot be read: {error.strerror}", USAGE) from error
    except JournalError as error:
        raise Failure(f"{name}: {error}") from error


class Folding:
    """Reads an archive's facts, each proven on the way. `machine` is what the fold begins with, once one was read."""

    def __init__(self, archive: Archive, to: int = 0) -> None:
        """Up to entry `to`; 0: all."""
        self.machine = Machine()
        self._archive = archive
        self._to = to

    def entries(self) -> Iterator[tuple[Stored, Event | None]]:
        """The entries that are to be folded on top of `machine`, in order. Raises Failure, also where the archive does
        not reach the entry that it was to go to."""
        first = last = 0
        try:
            for stream, stored in self._archive.entries():
                if stream != "facts":
                    continue
                last = stored.header.seq
                if not first:
                    first = last
                    self._begin(first)
                if self.machine.seq < last <= (self._to or last):
                    yield stored, _event_of(stored)
        except OSError as error:
            raise Failure(f"the archive cannot be read: {error.strerror}", USAGE) from error
        except (JournalError, UnknownMust, UnknownBase, BadBody) as error:
            raise Failure(str(error)) from error
        if self.machine.seq < self._to < first:
            raise Failure(f"the archive begins at entry {first}")
        if last < self._to:
            raise Failure(f"the archive ends at entry {last}")

    def _begin(self, first: int) -> None:
        archive = self._archive
        base = archive.base_upto(self._to) if self._to else archive.base
        if base is None:
            if first > 1 and not 0 < self._to < first:
                known = f" before entry {archive.bases[0].seq}" if archive.bases else ""
                raise Failure(
                    f"the archive begins at entry {first}, and the state that this entry stands on is not kept: "
                    f"nothing can be told{known}"
                )
            return
        try:
            check_needs(base.seq, needs_of(base.content))
            self.machine = decode_state(base.content)
        except UNREADABLE as error:
            raise Failure(f"the state that the archive begins with cannot be read: {error}") from error

    def all_of_it(self, look: Callable[[Machine, Event | None], None] = lambda before, event: None) -> Machine:
        """The state at the end; `look` is shown each event, and the state before it. Raises Failure."""
        for stored, event in self.entries():
            look(self.machine, event)
            fold(self.machine, stored.header, event)
        return self.machine


def _event_of(stored: Stored) -> Event | None:
    """Raises ContentGone where what changed the state was removed."""
    header: Header = stored.header
    if stored.excised and header.effect_on_state == "must":
        raise ContentGone(header.seq)
    return decode(stored)
