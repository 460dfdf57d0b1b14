"""The machine as it goes on, for one open page: everything once, then each news, from streams that the machine keeps
open. Nothing is asked again and again: what no stream tells (how full volumes are, say) is read when an entry of
history says that it may have changed.

A machine that goes away is said to be gone, and tried again, ever more slowly, until it is back; then everything is
told anew.
"""

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any

from capsulectl.errors import Failure
from capsulectl.ui import shapes
from capsulectl.ui.feed import ENDED, Feed, Stream
from capsulectl.ui.reads import FIRST, WINDOW, Reads
from capsulectl.ui.shapes import Data

QUIET_S = 15.0
"""After so long without news something is said, so that a page that is gone is noticed."""
PAUSE_S = 0.1
"""News of so long are told together: a busy machine has thousands of entries a second, and a screen sixty pictures."""
WORLD_S = 1.0
"""What is read after an entry is read no oftener."""
RETRY_S = (1.0, 2.0, 4.0, 8.0)
"""Before each try to reach a machine that is gone; the last one again and again."""

Told = tuple[str, Any]
"""A kind of news, and its data. The kind is empty where there is nothing to say."""

_OF_THE_WORLD = (
    "volume.", "snapshot.", "daemon.", "machine.", "update.", "boot.", "workload.applied", "workload.started",
    "workload.deleted", "rollback.",
)  # fmt: skip


def live(reads: Reads) -> Generator[Told, None, None]:
    """The news of a machine, for as long as somebody listens."""
    tries = 0
    while True:
        try:
            for told in _attached(reads):
                tries = tries if told[0] == "world" else 0
                yield told
        except Failure as failure:
            wait_s = RETRY_S[min(tries, len(RETRY_S) - 1)]
            tries += 1
            yield "gone", {"why": failure.message or "the connection broke off"}
            time.sleep(wait_s)


def _attached(reads: Reads) -> Iterator[Told]:
    """All there is, then what is new. Raises Failure when the machine is gone."""
    with closing(Feed({"entries": reads.follow(), "workloads": reads.watch()})) as feed:
        world = reads.world()
        yield "world", world
        first = yield from _first(feed, world["info"]["journalSeq"])
        if first > 1:
            yield "before", reads.entries(first - 1, WINDOW - FIRST)
        yield from _further(feed, reads)


def _first(feed: Feed, upto: int) -> Generator[Told, None, int]:
    """Which workloads there are, and what happened last, up to the entry that is the newest. Returns the first of them;
    what came before it is not waited for."""
    entries: list[Data] = []
    workloads: list[Data] = []
    synced = False
    while not synced or not entries or entries[-1]["seq"] < upto:
        for name, message in _whole(feed.take(QUIET_S)):
            if name == "entries":
                entries.append(shapes.entry(message))
            elif message.synced:
                synced = True
            elif not message.removed:
                workloads.append(shapes.workload(message.workload))
    yield "workloads", {"all": True, "now": workloads, "gone": []}
    yield "entries", {"all": True, "window": WINDOW, "entries": entries}
    return int(entries[0]["seq"])


def _further(feed: Feed, reads: Reads) -> Iterator[Told]:
    read_at, stale = time.monotonic(), False
    while True:
        news = _whole(feed.take(max(0.0, read_at + WORLD_S - time.monotonic()) if stale else QUIET_S))
        if news:
            entries = [shapes.entry(message) for name, message in news if name == "entries"]
            yield from _told(entries, [message for name, message in news if name == "workloads"])
            stale = stale or any(one["type"].startswith(_OF_THE_WORLD) for one in entries)
            time.sleep(PAUSE_S)
        elif not stale:
            yield "", None
        if stale and time.monotonic() >= read_at + WORLD_S:
            yield "world", reads.world()
            read_at, stale = time.monotonic(), False


def _whole(taken: Sequence[Told]) -> list[Told]:
    """Raises Failure where a stream has ended: neither does by itself."""
    if any(message is ENDED for _, message in taken):
        raise Failure("the machine ended the stream: it is going down, or starts anew")
    return list(taken)


def _told(entries: list[Data], items: Sequence[Any]) -> Iterator[Told]:
    """Of each workload the newest. What became of them comes before the entries that say so: a page that shows an entry
    shows what it led to."""
    newest = {item.workload.name: item for item in items if not item.synced}
    if newest:
        yield (
            "workloads",
            {
                "all": False,
                "now": [shapes.workload(item.workload) for item in newest.values() if not item.removed],
                "gone": [name for name, item in newest.items() if item.removed],
            },
        )
    if entries:
        yield "entries", {"all": False, "window": WINDOW, "entries": entries}


def log(stream: Stream) -> Generator[Told, None, None]:
    """A workload's log: the last lines, and each that follows, until it ends. Of very many lines at once the last are
    told."""
    with closing(Feed({"log": stream})) as feed:
        try:
            while True:
                taken = feed.take(QUIET_S)
                found = [line for _, chunk in taken if chunk is not ENDED for line in shapes.log_lines(chunk)]
                if found:
                    yield "lines", {"left": max(0, len(found) - WINDOW), "lines": found[-WINDOW:]}
                if any(chunk is ENDED for _, chunk in taken):
                    yield "end", {"why": ""}
                    return
                if not taken:
                    yield "", None
                time.sleep(PAUSE_S)
        except Failure as failure:
            yield "end", {"why": failure.message or "the connection broke off"}
