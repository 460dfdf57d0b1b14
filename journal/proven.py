"""A reader that keeps to what a process apart has read and proven: the rest of a damaged journal may kill who reads it.

Entries alone are trusted: indexes and snapshots were not proven, so everything is found by looking at the entries.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from journal.entry import Stored
from journal.environment import Environment
from journal.reader import LAST, Reader
from journal.snapshot import Snapshot


class ProvenReader(Reader):
    """Entries up to `proven`, and nothing else."""

    breaks_off = True

    def __init__(self, environment: Environment, proven: int) -> None:
        super().__init__(environment)
        self._proven = proven

    def get(self, seq: int, stream: str = "facts") -> Stored | None:
        """See Reader."""
        return super().get(seq) if stream == "facts" and seq <= self._proven else None

    def last(self, stream: str = "facts") -> Stored | None:
        """The last that was proven."""
        return self.get(self._proven, stream)

    def values(self, first: int = 1, last: int = LAST, stream: str = "facts") -> Iterator[bytes]:
        """See Reader."""
        return super().values(first, min(last, self._proven)) if stream == "facts" else iter(())

    def newest(self, count: int, stream: str = "facts", before: int = LAST) -> list[Stored]:
        """See Reader."""
        return super().newest(count, before=min(before, self._proven)) if stream == "facts" else []

    def cursor(self) -> int:
        """No index can be trusted."""
        return 0

    def count(self, database: str) -> int:
        """Of the facts; of all else it cannot be said."""
        return max(0, self._proven - self.first_seq() + 1) if database == "facts" else 0

    def types(self) -> dict[str, int]:
        """See Reader."""
        return dict(sorted(Counter(stored.header.type for stored in self.entries()).items()))

    def snapshots(self, fold_version: int | None = None) -> tuple[int, ...]:
        """None that can be trusted."""
        return ()

    def snapshot(self, fold_version: int, upto: int = LAST) -> Snapshot | None:
        """None that can be trusted."""
        return None

    def _found_back(self, index: str, key: str, last: int, test: Callable[[Stored], bool]) -> Iterator[Stored]:
        before = min(last, self._proven)
        while before > 0 and (page := self.newest(1_024, before=before)):
            yield from (stored for stored in reversed(page) if test(stored))
            before = page[0].header.seq - 1
