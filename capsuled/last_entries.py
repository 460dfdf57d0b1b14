"""The last entry of a boot, and of each boot that has ended since an entry.

The next boot begins before its daemon's start is told: what first_entries.py writes stands there already.
"""

from collections.abc import Iterator

from journal.entry import Stored
from journal.events import DaemonStarted, type_of
from journal.reader import Reader

STARTED = type_of(DaemonStarted)


def last_of_boot(reader: Reader, boot: str, behind: int | None = None) -> Stored | None:
    """`behind`: where a daemon first started in a later boot, if one has. None where nothing of the boot is there."""
    back = reader.entries_back() if behind is None else reader.entries_back(behind - 1)
    return next((one for one in back if one.header.boot == boot), None)


def last_of_boots(reader: Reader, first: int, upto: int) -> Iterator[Stored]:
    """Of each boot from that of entry `first` on that another one has followed up to `upto`, in order."""
    begins = reader.get(first)
    boot = "" if begins is None else begins.header.boot
    for started in reader.of_type(STARTED, first, upto):
        if started.header.boot != boot:
            if (last := last_of_boot(reader, boot, started.header.seq)) is not None:
                yield last
            boot = started.header.boot
