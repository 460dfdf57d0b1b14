"""A recorded history as it lies here: NAME.capsule, an archive, and NAME.json, what it folded to when it was made. NAME is
a release, or a release and what is in it."""

from pathlib import Path

import msgspec

from journal.archive import Archive
from journal.codec import decode
from journal.entry import Header, Stored
from journal.events import Event
from journal.snapshot import Snapshot
from projections.encoding import decode_state
from projections.state import Machine

HERE = Path(__file__).parent


class Record(msgspec.Struct, frozen=True):
    """What must come out again, for ever. `state_hash` is taken in `view`; `head` is the newest entry's hash."""

    release: str
    entries: int
    head: str
    view: int
    state_hash: str


def paths_of(release: str) -> tuple[Path, Path]:
    """The archive and its record."""
    return HERE / f"{release}.capsule", HERE / f"{release}.json"


def releases() -> tuple[str, ...]:
    """Every release of which a history is kept."""
    return tuple(sorted(path.stem for path in HERE.glob("*.capsule")))


def record_of(release: str) -> Record:
    """The record."""
    return msgspec.json.decode(paths_of(release)[1].read_bytes(), type=Record)


def facts_of(release: str) -> list[Stored]:
    """The facts, each checked against the one before. Raises BadArchive."""
    with paths_of(release)[0].open("rb") as source:
        return [stored for stream, stored in Archive(source).entries() if stream == "facts"]


def base_of(release: str) -> Snapshot | None:
    """What the fold begins with, where that is not the empty state."""
    with paths_of(release)[0].open("rb") as source:
        archive = Archive(source)
        next(archive.entries())
        return archive.base


def folded_of(release: str) -> tuple[list[tuple[Header, Event | None]], Machine]:
    """The facts that are folded, and the state that they are folded onto: see projections.fold.replay."""
    base = base_of(release)
    if base is None:
        return events_of(release), Machine()
    return [one for one in events_of(release) if one[0].seq > base.seq], decode_state(base.content)


def events_of(release: str) -> list[tuple[Header, Event | None]]:
    """The facts as this release reads them. Raises UnknownMust and BadBody."""
    return [(stored.header, decode(stored)) for stored in facts_of(release)]
