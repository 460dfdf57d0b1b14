"""What a history lacks on purpose: contents that were removed from it, and a beginning that was cut off. Each has an
entry behind it that says so, or somebody else took it away."""

from collections.abc import Iterator, Sequence

from journal.codec import BadBody, UnknownMust, decode
from journal.entry import Stored
from journal.events import Event, JournalCheckpointed, JournalExcised, type_of
from journal.head import Head

_SAY_SO = {type_of(JournalExcised), type_of(JournalCheckpointed)}


class Gaps:
    """Of one journal's facts, which begin with entry `first`. `bases`: what a fold may begin with, the oldest first.
    `removed`: the entries without content, in order."""

    def __init__(self, first: int, bases: Sequence[Head]) -> None:
        self.removed: list[int] = []
        self._first = first
        self._last = bases[-1].seq if bases else 0
        self._bases = {base.seq: base.hash.hex() for base in bases}
        self._unvouched = {seq for seq in self._bases if first <= seq + 1}  # of others it was said before
        self._announced: set[int] = set()

    def take(self, stored: Stored) -> str | None:
        """The next entry, whose chain was proven. What is wrong with it as what a fold begins behind, in words."""
        seq = stored.header.seq
        if stored.excised:
            self.removed.append(seq)
        match _said(stored) if stored.header.type in _SAY_SO else None:
            case JournalExcised(seqs=seqs):
                self._announced.update(seqs)
            case JournalCheckpointed(upto=upto, head_hash=head) if head == self._bases.get(upto):
                self._unvouched.discard(upto)
        if seq in self._bases and stored.hash.hex() != self._bases[seq]:
            return f"what the fold begins with does not stand on entry {seq}"
        return None

    def lost(self) -> str | None:
        """That the beginning is gone, in words: nothing is known of what the first entry stands on."""
        if self._first <= self._last + 1:
            return None
        return f"history begins at entry {self._first}, and no checkpoint says that what was before may be gone"

    def unannounced(self) -> Iterator[tuple[int, str]]:
        """The entries that lack what nobody announced, once all have been taken: where, and what is wrong."""
        for seq in self.removed:
            if seq not in self._announced:
                yield seq, f"the body of entry {seq} was removed, and no journal.excised entry says so"

    def unvouched(self) -> Iterator[tuple[int, str]]:
        """The same of what the fold may begin with."""
        for seq in sorted(self._unvouched):
            yield seq, f"the fold begins behind entry {seq}, and no journal.checkpointed says so"


def _said(stored: Stored) -> Event | None:
    try:
        return decode(stored)
    except (UnknownMust, BadBody):
        return None  # which is found by whoever reads all of them
