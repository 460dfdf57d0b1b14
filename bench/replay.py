"""replay.fold: a million entries through the product's decode and fold, against SQLite, `json.loads` and the same fold.

The peer is a table (seq, at, actor, type, body as JSON text) in one file, read in order. Both begin with an empty
state, and must come to the same one.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from bench.past import Calendar, past
from bench.report import Row, in_turn, row
from capsuled.memory import recall, replay_journal
from journal.codec import read
from journal.entry import Actor, Header
from journal.events import EVENT_TYPES, DaemonStarted, Event, type_of
from journal.reader import Reader
from projections.fold import replay
from projections.state import Machine
from projections.views import state_hash

ROUNDS = 3
_TYPES = {type_of(kind): kind for kind in EVENT_TYPES}


def _write_table(journal: Path, table: Path) -> None:
    """The same entries as rows."""
    reader = Reader.open(journal)
    connection = sqlite3.connect(table)
    connection.execute("create table entries (seq integer primary key, at integer, actor text, type text, body text)")
    encode = msgspec.json.Encoder().encode
    connection.executemany(
        "insert into entries values (?, ?, ?, ?, ?)",
        (
            (header.seq, header.at, "/".join(msgspec.structs.astuple(header.actor)), header.type,
             encode(event).decode())
            for header, event in map(read, reader.values())
        ),
    )  # fmt: skip
    connection.commit()
    connection.close()
    reader.close()


def _read_table(table: Path) -> Iterator[tuple[Header, Event]]:
    calendar = Calendar()
    convert, loads = msgspec.convert, json.loads
    connection = sqlite3.connect(table)
    for seq, at, actor, tag, body in connection.execute("select seq, at, actor, type, body from entries order by seq"):
        event = convert(loads(body), _TYPES[tag])
        if isinstance(event, DaemonStarted) and event.previous == "power-lost":
            calendar.next_boot(at)
        boot, mono = calendar.reading(at)
        who = Actor(*actor.split("/"))
        yield Header(seq, at, boot, mono, "", "", who, 0, 0, tag, 1, "must", b"", b""), event
    connection.close()


def rows(directory: Path) -> list[Row]:
    """The fold alone, and with the chain proven on the way."""
    journal, table = past(), directory / "entries.sqlite"
    _write_table(journal, table)
    states: list[Machine] = []

    def timed(measure: Callable[[], Machine]) -> Callable[[], float]:
        def rate() -> float:
            begun = time.perf_counter()
            machine = measure()
            seconds = time.perf_counter() - begun
            states.append(machine)
            return machine.seq / seconds

        return rate

    reader = Reader.open(journal)
    ours, proven, theirs = in_turn(
        ROUNDS,
        timed(lambda: recall(reader, proven=True).machine),
        timed(lambda: replay_journal(reader)[1]),
        timed(lambda: replay(_read_table(table))),
    )
    reader.close()
    # The releases of headers stand in no column, so the boot's is left out of the comparison.
    for machine in states:
        machine.boot = None
    assert len({state_hash(machine) for machine in states}) == 1, "the peer folds to another state"
    peer = "sqlite + json.loads + the same fold"
    return [
        row("replay.fold", ours, "entries/s", peer, theirs, ">=2.0"),
        row("replay.fold.verified", proven, "entries/s", peer, theirs, ">=1.3", "every header and body hash checked"),
    ]
