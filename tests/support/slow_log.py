"""A journal in memory whose disk takes its time when it is told to."""

import asyncio
from collections.abc import Sequence

from journal.entry import Header
from journal.errors import JournalFull
from journal.events import Event
from journal.sequencer import Draft
from tests.support.story import Story


class SlowLog:
    """It goes on behind a story. `told` is what was appended; `written` is set while the disk writes at once. While it
    is `full`, only the last part of its reserve is left."""

    def __init__(self, story: Story) -> None:
        self.full = False
        self.told: list[Event] = []
        self.written = asyncio.Event()
        self.written.set()
        self._seq = story.machine.seq

    def check(self) -> None:
        """It never fails."""

    def append(
        self, drafts: Sequence[Draft], *, reserved: bool = False, vital: bool = False
    ) -> Sequence[tuple[Header, Event]]:
        """See Log."""
        if self.full and not vital:
            raise JournalFull("the disk is full")
        entries = []
        for draft in drafts:
            self._seq += 1
            header = Header(self._seq, 0, "boot-2", 0, "", "slot_a", draft.actor, 0, 0, "", 1, "must", b"", b"")
            entries.append((header, draft.event))
            self.told.append(draft.event)
        return entries

    async def durable(self, seq: int) -> None:
        """See Log."""
        await self.written.wait()

    def of(self, *kinds: type[Event]) -> list[type[Event]]:
        """What was told of these kinds, in its order."""
        return [type(event) for event in self.told if type(event) in kinds]
