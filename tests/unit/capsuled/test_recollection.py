"""What an answer that is given again is told from: with what the call ended, found behind it in a journal on the disk."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from capsuled.memory import Recollection
from journal.codec import BadBody
from journal.entry import LOCAL
from journal.environment import Environment
from journal.errors import JournalDamaged
from journal.events import CallAccepted, Event, ImageRemoved, VolumeApplied, VolumeLost, VolumeMade
from journal.sequencer import Draft
from journal.writer import Journal
from tests.support.clock import HandClock


def told(directory: Path, events: tuple[Event, ...], story: Callable[[Recollection, Journal], Awaitable[None]]) -> None:
    async def tell() -> None:
        journal = Journal(Environment(directory), HandClock())
        journal.append([Draft(event, LOCAL) for event in events])
        await journal.durable(journal.seq)
        try:
            await story(Recollection(journal.reader), journal)
        finally:
            await journal.close()

    asyncio.run(tell())


CALL, APPLIED = CallAccepted("VolumeService.Create", ("data",), call_id="one"), VolumeApplied("data", 16, created=True)


def test_it_is_found_among_what_was_told_of_the_object_behind_the_call_alone(tmp_path: Path) -> None:
    async def story(past: Recollection, journal: Journal) -> None:
        made = VolumeMade("data", 3, 16)
        found = [await past.first(call, "data", lambda _, event: isinstance(event, VolumeMade)) for call in (1, 3, 6)]
        assert found == [VolumeMade("data", 1, 16), made, None]
        assert await past.first(3, "other", lambda _, event: isinstance(event, VolumeMade)) == VolumeMade("other", 9, 1)
        assert await past.first(3, "data", lambda header, _: header.seq == 4) == APPLIED

    events = (CALL, VolumeMade("data", 1, 16), CALL, APPLIED, VolumeMade("other", 9, 1), VolumeMade("data", 3, 16))
    told(tmp_path, events, story)


def test_it_is_found_by_what_led_to_it_where_it_names_no_object(tmp_path: Path) -> None:
    async def story(past: Recollection, journal: Journal) -> None:
        journal.append([Draft(ImageRemoved(freed_bytes=7), LOCAL, cause=2)])
        await journal.durable(journal.seq)
        assert await past.first(1, ImageRemoved, lambda header, _: header.cause == 2) == ImageRemoved(freed_bytes=7)
        assert await past.first(1, ImageRemoved, lambda header, _: header.cause == 1) is None

    told(tmp_path, (CALL, VolumeLost("data", 1)), story)


def test_what_cannot_be_read_is_told_as_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(past: Recollection, journal: Journal) -> None:
        def broken(stored: object) -> Event:
            raise BadBody("entry 2 cannot be read")

        monkeypatch.setattr("capsuled.memory.decode", broken)
        with pytest.raises(JournalDamaged, match="journal verify"):
            await past.first(1, "data", lambda *_: True)

    told(tmp_path, (CALL, APPLIED), story)
