"""The last entry of a boot.

The next boot begins before its daemon's start is told: what first_entries.py writes stands there already.
"""

from journal.entry import Stored
from journal.events import DaemonStarted, type_of
from journal.reader import Reader

STARTED = type_of(DaemonStarted)


def last_of_boot(reader: Reader, boot: str, behind: int | None = None) -> Stored | None:
    """`behind`: where a daemon first started in a later boot, if one has. None where nothing of the boot is there."""
    back = reader.entries_back() if behind is None else reader.entries_back(behind - 1)
    return next((one for one in back if one.header.boot == boot), None)
