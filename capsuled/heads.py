"""Heads of the journal, told beside answers: a client that says which entry it saw last hears what stands there now.

    capsule-head (request)         the seq that the client saw
    capsule-head (answer)          journal id, first seq, newest seq and its hash, by spaces
    capsule-head-then (answer)     the hash of the entry with the client's seq; empty where there is none
    capsule-head-restored (answer) when the journal was taken over from archives (`journal.restored`), in ns by its own
                                   entries, the newest first; absent while that is not known

The client compares: a daemon that was put on an older or an edited journal cannot know that it was.
"""

from capsuled.doors import Metadata
from journal.entry import MalformedEntry
from journal.events import JournalRestored, type_of
from journal.reader import Reader

HEAD, THEN, RESTORED = "capsule-head", "capsule-head-then", "capsule-head-restored"
RESTORES = 8
"""So many are told."""
BEHIND_ENTRIES = 8_192
"""So many entries behind the index are looked through for them: more would hold everybody up."""
_DIGITS = 19

Told = tuple[tuple[str, str], ...]


class Heads:
    """Reads them. `reader` is None where there is no journal to read."""

    def __init__(self, reader: Reader | None) -> None:
        self._reader = reader
        self._restored: list[int] = []
        self._looked = 0

    def told(self, metadata: Metadata) -> Told:
        """What goes beside the answer to a call that came with this; nothing for a client that did not ask."""
        asked = metadata.get(HEAD)
        if self._reader is None or not isinstance(asked, str) or not (asked.isascii() and asked.isdigit()):
            return ()
        try:
            last = self._reader.last()
            then = self._reader.get(int(asked)) if int(asked[:_DIGITS]) > 0 and len(asked) <= _DIGITS else None
            if last is None:
                return ()
            journal, first = self._reader.journal_id.hex(), self._reader.first_seq()
        except MalformedEntry:
            return ()  # whoever reads that entry hears of it
        head = f"{journal} {first} {last.header.seq} {last.hash.hex()}"
        told = ((HEAD, head), (THEN, "" if then is None else then.hash.hex()))
        return (*told, *self._restores(self._reader, last.header.seq))

    def _restores(self, reader: Reader, last: int) -> Told:
        """Each entry is looked at once, by the index as far as that has come."""
        try:
            if last - max(self._looked, reader.cursor()) > BEHIND_ENTRIES:
                return ()
            found = [stored.header.at for stored in reader.of_type(type_of(JournalRestored), self._looked + 1, last)]
        except MalformedEntry:
            return ()
        self._restored, self._looked = [*self._restored, *found], max(self._looked, last)
        return ((RESTORED, " ".join(str(at) for at in self._restored[: -RESTORES - 1 : -1])),)
