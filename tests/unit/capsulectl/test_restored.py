"""A journal is another than the one that was seen: a restore explains what was seen before it, and nothing else."""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from capsulectl.heads import Heads, Seen, Told, keep, kept_at_ns, load, told_in
from capsulectl.restored import SKEW_NS, explains, why_another
from capsuled.heads import HEAD, RESTORED
from capsuled.heads import Heads as Telling
from capsuled.history import message_of
from journal.entry import Stored
from journal.environment import Environment
from journal.events import CallAccepted, JournalRestored
from journal.reader import Reader
from tests.support import entries
from tests.support.entries import Ledger, live_once, relinked

OTHER_ID = bytes(range(16, 32))
HOUR = 3_600 * 1_000_000_000


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPSULE_CONFIG_DIR", str(tmp_path / "config"))


class Site:
    """A machine whose journal is exchanged under its address, and a client that looks at it now and then."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._directories = (directory / f"journal-{number}" for number in count())
        self._capsys = capsys

    def look(self, stored: list[Stored], journal_id: bytes = entries.JOURNAL_ID) -> str:
        """A command's call while the machine has this journal; what it says of it, in a word."""
        directory = next(self._directories)
        Environment(directory, journal_id=journal_id).close()
        entries.keep(directory, stored)
        live_once(directory)
        reader = Reader.open(directory)
        telling = Telling(reader)

        def listed(request: Any) -> Iterator[Any]:
            yield from map(message_of, list(reader.newest_of_type(request.type))[: request.limit])

        connection: Any = SimpleNamespace(
            history=SimpleNamespace(List=None), stream=lambda method, request, timeout: listed(request)
        )
        heads = Heads("home", lambda seen, told: why_another(connection, seen, told, kept_at_ns("home")))
        try:
            question = heads.question()
            heads.hear(told_in(telling.told({HEAD: question.metadata[0][1]})), question)
        finally:
            reader.close()
        said = self._capsys.readouterr().err
        return "warned" if "WARNING" in said else "explained" if "took over the memory" in said else said


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Site:
    return Site(tmp_path, capsys)


def worked(upon: Ledger, calls: int) -> Ledger:
    for _ in range(calls):
        upon.add(CallAccepted("Test.Call", ("web",)))
    return upon


def restored(archive: list[Stored], at: int, calls: int = 5) -> list[Stored]:
    """The journal of a machine that took over this archive then, and went on."""
    made = Ledger(entries=[*archive], boot=f"boot of {at}")
    made.add(JournalRestored(upto=len(archive), head_hash=archive[-1].hash.hex()), at=at)
    return worked(made, calls).entries


@pytest.fixture
def old() -> list[Stored]:
    return worked(Ledger(), 8).entries


def in_hours(hours: int) -> int:
    """After what is kept by then, by a clock that agrees."""
    return kept_at_ns("home") + hours * HOUR


def test_a_journal_that_is_put_back_is_warned_of_also_where_it_was_taken_over_once(
    site: Site, old: list[Stored]
) -> None:
    assert site.look(old) == ""
    home = restored(old[:6], in_hours(1))
    assert site.look(home) == "explained" and site.look(home) == ""
    seen = load("home")
    for put_back in (home[:9], home[:7]):
        assert site.look(put_back) == "warned" and site.look(put_back) == "warned", "each time"
    assert load("home") == seen


def test_so_is_one_that_is_written_anew_from_behind_its_restore_or_before_it(site: Site, old: list[Stored]) -> None:
    home = restored(old, in_hours(1))
    assert site.look(home) == ""
    for first in (11, 9, 4):
        forged = [*home[: first - 1], *relinked(home[first:], home[first - 1].header.prev)]
        assert site.look(worked(Ledger(entries=forged), 9).entries) == "warned"


def test_a_restore_that_nobody_here_was_there_for_explains_what_was_seen_before_it(
    site: Site, old: list[Stored]
) -> None:
    first = restored(old, in_hours(1))
    assert site.look(first) == ""
    again = restored(first[:11], 3)
    assert site.look(again) == "explained", "restored anew, by a clock that does not know the time"
    once_more = restored(first[:11], in_hours(2))
    assert site.look(once_more) == "explained", "the same archive, once more"
    assert site.look(once_more) == ""
    assert [site.look(journal) for journal in (again, first, once_more[:12], old)] == ["warned"] * 4


def test_what_was_restored_twice_and_is_put_back_to_between_is_warned_of(site: Site, old: list[Stored]) -> None:
    first = restored(old, in_hours(1))
    second = restored(first, in_hours(2))
    assert site.look(second) == ""
    assert site.look(first) == "warned"


def test_a_restore_that_was_not_noticed_as_what_was_seen_stood_in_its_archive_explains_nothing_later(
    site: Site, old: list[Stored]
) -> None:
    assert site.look(old[:3]) == ""
    home = restored(old, in_hours(1))
    assert site.look(home) == ""
    assert site.look(home[:10]) == "warned"


def test_a_blank_machine_that_took_over_an_archive_is_explained_and_no_other_journal_after_it(
    site: Site, old: list[Stored]
) -> None:
    blank = worked(Ledger(OTHER_ID), 3).entries
    assert site.look(blank, OTHER_ID) == ""
    home = restored(old, in_hours(1))
    assert site.look(home) == "explained"
    assert site.look(blank, OTHER_ID) == "warned"
    before = [*old[:5], Ledger(entries=old[:5]).add(JournalRestored(5, "ab"), at=in_hours(-200))]
    keep("home", load("home")._replace(journal="another"))
    assert site.look(before) == "warned", "that restore was long before"


def test_a_file_of_an_older_release_goes_by_when_it_was_kept_until_it_has_been_told(
    site: Site, old: list[Stored]
) -> None:
    home = restored(old, 10 * HOUR)
    keep("home", Seen(entries.JOURNAL_ID.hex(), home[-1].header.seq, home[-1].hash.hex()))
    assert load("home").restored is None
    os.utime(_kept(), ns=(9 * HOUR, 9 * HOUR))
    kept = load("home")
    assert site.look(home[:11]) == "explained", "it was seen before that restore"
    keep("home", kept)
    assert site.look(home[:11]) == "warned", "it was kept just now"
    assert site.look(home) == "" and load("home").restored == (10 * HOUR,)
    assert len(_kept().read_text().split()) == 3, "as an earlier release reads it"
    os.utime(_kept(), ns=(9 * HOUR, 9 * HOUR))
    assert site.look(home[:11]) == "warned", "no clock has a word by now"


def _kept() -> Path:
    (file,) = (one for one in (Path(os.environ["CAPSULE_CONFIG_DIR"]) / "heads").iterdir() if not one.suffix)
    return file


@pytest.mark.parametrize(
    ("at", "kept_at", "known", "good"),
    [
        (5, 4, None, True),
        (5, 5, None, False),
        (5, 900, (), True),
        (5, 900, (3, 4), True),
        (5, 1, (4, 5), False),
    ],
)
def test_of_one_journal_restores_are_known_or_the_clock_is_asked(
    at: int, kept_at: int, known: tuple[int, ...] | None, good: bool
) -> None:
    seen, told = Seen("home", 20, "aa", known), Told("home", 1, 30, "bb", "", (at,))
    assert explains(at, 10, seen, told, kept_at) is good
    assert not explains(at, 20, seen, told, kept_at), "what was seen stood in the archive"


def test_of_another_journal_a_restore_of_long_ago_explains_nothing() -> None:
    seen, told = Seen("blank", 20, "aa", ()), Told("home", 1, 30, "bb", "", (5,))
    assert explains(5, 40, seen, told, 5 + SKEW_NS - 1) and not explains(5, 40, seen, told, 5 + SKEW_NS)


def test_what_no_index_knows_yet_is_not_looked_through_while_somebody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = restored(worked(Ledger(), 2).entries, at=77)
    entries.keep(tmp_path / "journal", stored)
    reader = Reader.open(tmp_path / "journal")
    telling = Telling(reader)
    for _ in range(2):
        assert dict(telling.told({HEAD: "0"}))[RESTORED] == "77", "each is told once"
    monkeypatch.setattr("capsuled.heads.BEHIND_ENTRIES", len(stored) - 1)
    assert RESTORED in dict(telling.told({HEAD: "0"}))
    assert RESTORED not in dict(Telling(reader).told({HEAD: "0"}))
    reader.close()
