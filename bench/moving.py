"""Moving the memory: a million entries into an archive, and out of one, proven; against a plain compressed copy.

The peer is what an operator would do without: the stopped journal's directory through tar and gzip, at the level that
the archive has. Both have their bytes on the disk at the end; that copy, and what is made of it, proves nothing.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.past import past
from bench.report import Row, in_turn, row
from journal.archive import LEVEL, export, import_archive
from journal.reader import Reader
from journal.verify import verify

ROUNDS = 3


def rows(scratch: Path) -> Iterable[Row]:
    """`export` and `import`, in seconds."""
    journal, archive, copy = past(), scratch / "memory.capsule", scratch / "journal.tar.gz"

    def exported() -> None:
        reader = Reader.open(journal)
        with archive.open("wb") as out:
            out.writelines(export(reader, reader.journal_id))
            os.fsync(out.fileno())
        reader.close()

    def copied() -> None:
        _run(f"tar -C '{journal.parent}' -cf - journal | gzip -{LEVEL} > '{copy}'")
        _synced(copy)

    def imported() -> None:
        target = scratch / "imported"
        with archive.open("rb") as source:
            import_archive(source, target)
        assert verify(target).whole
        shutil.rmtree(target)

    def unpacked() -> None:
        target = scratch / "unpacked"
        target.mkdir()
        _run(f"gzip -dc '{copy}' | tar -C '{target}' -xf -")
        _synced(target / "journal" / "data.mdb")
        shutil.rmtree(target)

    ours, theirs = in_turn(ROUNDS, lambda: _timed(exported), lambda: _timed(copied))
    yield row("export", ours, "s", "tar and gzip", theirs, "<=2.0", f"{_mib(archive)} MiB against {_mib(copy)}")
    ours, theirs, back = in_turn(ROUNDS, lambda: _timed(imported), lambda: _timed(copied), lambda: _timed(unpacked))
    yield row("import --verify", ours, "s", "tar and gzip", theirs, "<=2.0", "every entry proven twice")
    yield row("import --verify", ours, "s", "gzip -d and tar", back, note="which prove nothing")


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _run(command: str) -> None:
    subprocess.run(["sh", "-ec", command], check=True, capture_output=True)


def _synced(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _mib(path: Path) -> int:
    return path.stat().st_size >> 20
