"""Forgetting, behind an entry that says so: what the fold begins with afterwards is laid down in the same transaction
in which the first of it goes.
"""

import asyncio
import logging

from capsuled.beginning import needed
from capsuled.memory import recall
from journal.codec import decode
from journal.errors import JournalError
from journal.events import JournalCheckpointed, JournalExcised
from journal.reader import Reader
from journal.snapshot import Snapshot
from journal.writer import Journal
from projections.encoding import encode_base
from projections.state import Machine

log = logging.getLogger(__name__)


class NoRoom(JournalError):
    """Raised when the disk has no room for what forgetting writes first."""

    reason = "JOURNAL_FULL"


def kept(machine: Machine, head_hash: str, reader: Reader) -> Snapshot:
    """The state, as the base that a fold of what is left in this journal begins with. Takes a while, beside the event
    loop: nobody else changes `machine`."""
    return Snapshot(machine.seq, bytes.fromhex(head_hash), encode_base(machine, needed(reader, machine.seq)))


class Retention:
    """Lets go of what is not to be kept. `journal` is None where nothing can be written: nothing is asked then."""

    def __init__(self, journal: Journal | None, reader: Reader | None) -> None:
        self._journal = journal
        self._reader = reader

    async def retain(self, base: Snapshot, excised: tuple[int, ...]) -> None:
        """Begin the fold with `base`: what is before it goes, or only the content of `excised`; see
        journal/retention.py. Raises NoRoom: it is tried again at the next start."""
        assert self._journal is not None, "it was admitted"
        try:
            await self._journal.retain(base, not excised, excised)
        except OSError as error:
            raise NoRoom(
                f"it is journaled, and not done yet: {error}. Free space there and start capsuled again"
            ) from error

    async def resume(self) -> None:
        """What the newest checkpoint says was to be forgotten, and was not come to yet. Raises NoRoom."""
        if self._journal is None or self._reader is None:
            return
        last = next(self._reader.newest_of_type("journal.checkpointed"), None)
        told = None if last is None else decode(last)
        base = self._reader.base()
        if last is None or not isinstance(told, JournalCheckpointed) or (base is not None and base.seq >= told.upto):
            return
        before = self._reader.get(last.header.seq - 1)
        also = None if before is None or before.header.call != last.header.call else decode(before)
        excised = also.seqs if isinstance(also, JournalExcised) else ()
        log.warning("what entry %d says was to be forgotten goes now", last.header.seq)
        recalled = await asyncio.to_thread(recall, self._reader, told.upto)
        base = await asyncio.to_thread(kept, recalled.machine, told.head_hash, self._reader)
        await self.retain(base, excised)
