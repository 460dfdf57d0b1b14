"""What a journal says of updates and boots that lies on a file system of its own, after the power is back.

    python -m tests.support.power.slot_judge IMAGE MOUNT                         prints one JSON object

Runs in a process of its own (see disk.apart): what is damaged enough kills whoever reads it.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec

from journal.codec import decode
from journal.errors import JournalError
from journal.reader import Reader
from journal.verify import verify
from tests.support.power.disk import Damage, powered_on

_LOOKED_AT = frozenset(
    {
        "boot.started", "daemon.started", "update.begun", "update.staged", "update.staging_failed", "update.arming",
        "update.armed", "update.disarmed", "update.confirming", "update.confirmed", "update.returning",
        "update.rolled_back",
    }
)  # fmt: skip


class Told(msgspec.Struct, frozen=True):
    """One entry: when and in which boot it was written, and what stands in it."""

    seq: int
    type: str
    boot: str
    mono_ns: int
    at_ns: int
    fields: dict[str, Any]


class Journal(msgspec.Struct, frozen=True):
    """The entries about updates and boots; `wrong` is empty when the journal is whole."""

    entries: int = 0
    told: tuple[Told, ...] = ()
    wrong: tuple[str, ...] = ()

    def of(self, kind: str, uid: int = 0) -> tuple[Told, ...]:
        """Those of a type; of one update alone, where one is named."""
        return tuple(one for one in self.told if one.type == kind and uid in (0, one.fields.get("uid", one.seq)))


def judge(directory: Path) -> Journal:
    """Of a journal's directory."""
    try:
        report = verify(directory)
        reader = Reader.open(directory)
    except JournalError as error:
        return Journal(wrong=(str(error),))
    told, last = [], 0
    for stored in reader.entries():
        header, last = stored.header, stored.header.seq
        if header.type in _LOOKED_AT:
            fields = msgspec.to_builtins(decode(stored))
            told.append(Told(header.seq, header.type, header.boot, header.mono, header.at, fields))
    reader.close()
    return Journal(last, tuple(told), tuple(finding.problem for finding in report.findings))


def _main(image: Path, mount: Path) -> None:
    try:
        with powered_on(image, mount):
            found = judge(mount)
    except Damage as error:
        found = Journal(wrong=(str(error),))
    print(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
