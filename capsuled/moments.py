"""The machine as it was: a moment is an entry's number, a time, or the end of an earlier boot; the state is the fold up
to there. Read beside the event loop.

A time is resolved here, by the machine's clock, and so is whether it has come: whoever asks may have another clock.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

from capsule.v1 import history_pb2 as pb
from capsuled.last_entries import STARTED, last_of_boot
from capsuled.memory import Leave, Recalled, recall
from capsuled.rpc import refuse
from capsuled.utc import utc_text
from journal.codec import BadBody, BrokenChain
from journal.entry import MalformedEntry
from journal.errors import ContentGone, JournalDamaged
from journal.events import ClockStepped, type_of
from journal.reader import Reader
from projections.state import Machine

SKEW_NS: Final = 300 * 1_000_000_000
"""So far may the clock of who asks be ahead of the machine's, as with tokens: what is no later than that is now."""


class Moments:
    """Answers for moments up to an entry `now`, which is on the disk. Raises Refused for one that never was. `wall_ns`
    is the machine's wall clock; `leave` keeps snapshots of what had to be folded on the way."""

    def __init__(self, reader: Reader, wall_ns: Callable[[], int], leave: Leave | None = None) -> None:
        self._reader = reader
        self._wall_ns = wall_ns
        self._leave = leave

    def seq_of(self, moment: pb.Moment, now: int, field: str) -> int:
        """The newest entry of that moment; 0 before the first one."""
        if moment.seq:
            return self._numbered(moment.seq, now, field)
        if moment.at_unix_ns:
            self._check_come(moment.at_unix_ns, now, field)
            return self.remembered(self.last_up_to(moment.at_unix_ns, now), field)
        if moment.boot > 0:
            refuse("INVALID_ARGUMENT", "BAD_MOMENT", "boots are counted back from the present one: boot:-1", field)
        return self._end_of_boot(-moment.boot, now, field) if moment.boot else now

    def _check_come(self, at_ns: int, now: int, field: str) -> None:
        """The clock may have been set back since the newest entry: what has been, has come."""
        newest = self._reader.get(now)
        wall_ns = self._wall_ns()
        if at_ns > max(wall_ns, 0 if newest is None else newest.header.at) + SKEW_NS:
            message = f"that moment has not come yet: by the capsule's clock it is {utc_text(wall_ns)}"
            refuse("INVALID_ARGUMENT", "NOT_YET", message, field)

    def _numbered(self, seq: int, now: int, field: str) -> int:
        if seq > now:
            refuse("INVALID_ARGUMENT", "NO_SUCH_ENTRY", f"there is no entry {seq} yet: the newest is {now}", field)
        return self.remembered(seq, field)

    def remembered(self, seq: int, field: str) -> int:
        """The entry itself. History may begin after the first one: what was cut off is not told."""
        first = self._reader.first_seq()
        if first > 1 and seq < first:
            where = "`capsulectl history --type journal.checkpointed` tells where what was before went"
            refuse("OUT_OF_RANGE", "HISTORY_BEGINS_LATER", f"history begins at entry {first}: {where}", field)
        return seq

    def last_up_to(self, at_ns: int, now: int) -> int:
        """The newest entry of that time, 0 for none. By halves, of the newest stretch that had begun by then: where the
        clock was set times may go back, and hardly ever in between."""
        low, high = max(self._reader.first_seq(), 1) - 1, now
        for stepped in self._reader.newest_of_type(type_of(ClockStepped), now):
            if stepped.header.at <= at_ns:
                low = stepped.header.seq
                break
            high = stepped.header.seq - 1
        while low < high:
            middle = (low + high + 1) // 2
            stored = self._reader.get(middle)
            if stored is not None and stored.header.at <= at_ns:
                low = middle
            else:
                high = middle - 1
        return low

    def boot_id(self, back: int, now: int, field: str) -> str:
        """The boot so many before the present one (0)."""
        begins = self._begins(back, now)
        if len(begins) <= back:
            self._no_such_boot(begins, field)
        return list(begins)[back]

    def _begins(self, back: int, now: int) -> dict[str, int]:
        """Where a daemon first started in each boot, the newest boot first, to the one so many before the present one;
        of that one it may be a later daemon's. The present one is known also where its beginning was cut off."""
        newest = self._reader.get(now)
        begins = {} if newest is None else {newest.header.boot: self._reader.first_seq()}
        for stored in self._reader.newest_of_type(STARTED, now):
            begins[stored.header.boot] = stored.header.seq
            if len(begins) > back:
                break
        return begins

    def _no_such_boot(self, begins: dict[str, int], field: str) -> NoReturn:
        many = ("no boot before this one is", "one boot before this one is")
        told = many[len(begins) - 1] if len(begins) <= len(many) else f"{len(begins) - 1} boots before this one are"
        first = self._reader.first_seq()
        cut = f": history begins at entry {first}" if first > 1 else ""
        refuse("OUT_OF_RANGE", "NO_SUCH_BOOT", f"{told} remembered{cut}", field)

    def _end_of_boot(self, back: int, now: int, field: str) -> int:
        """Its last entry: right before the next boot's daemon started others of that boot may stand."""
        begins = self._begins(back, now)
        if len(begins) <= back:
            self._no_such_boot(begins, field)
        last = last_of_boot(self._reader, list(begins)[back], list(begins.values())[back - 1])
        return self.remembered(0 if last is None else last.header.seq, field)

    def machine(self, seq: int) -> Machine:
        """The fold of the entries up to `seq`. Raises JournalDamaged, and Refused for what this release cannot read."""
        if not seq:
            return Machine()
        try:
            recalled = self._recalled(seq, "at")
        except (BrokenChain, BadBody, MalformedEntry) as error:
            raise JournalDamaged(
                f"that moment cannot be told: {error}. Prove the journal with `capsulectl journal verify`"
            ) from error
        if recalled.frozen_by:
            told = recalled.machine.seq
            refuse("FAILED_PRECONDITION", "NEWER_RELEASE", f"the past ends at {told}: {recalled.frozen_by}")
        return recalled.machine

    def check_told(self, seq: int) -> None:
        """What stands up to `seq` can be folded by whoever reads all of it. Raises Refused where what was removed since
        has left nothing that a fold could begin with."""
        with suppress(BrokenChain, BadBody, MalformedEntry):  # what is damaged is taken along as it is
            self._recalled(seq, "upto")

    def _recalled(self, seq: int, field: str) -> Recalled:
        try:
            return recall(self._reader, seq, leave=self._leave)
        except ContentGone as gone:
            refuse("OUT_OF_RANGE", "CONTENT_GONE", str(gone), field)
