"""Counts what is journaled, since the daemon began: entries by type, and effects that failed."""

from collections import Counter

from journal.entry import Header
from journal.events import EffectFailed, Event


class Tally:
    """`failures` by effect and reason. Both words are the house's own, so there are few of either."""

    def __init__(self) -> None:
        self.entries: Counter[str] = Counter()
        self.failures: Counter[tuple[str, str]] = Counter()

    def note(self, header: Header, event: Event) -> None:
        """One more entry."""
        self.entries[header.type] += 1
        if isinstance(event, EffectFailed):
            self.failures[event.effect, event.reason] += 1
