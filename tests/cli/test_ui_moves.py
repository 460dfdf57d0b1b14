"""What the page shows when answers are slow, fail, or come after another way was taken: title, slider and entries are of
one moment."""

import threading
from typing import Any

import pytest

from capsulectl.errors import Failure
from tests.support.browser import Browser
from tests.support.page import NEWEST_EVENT, SHOWN, ask_for, go, opened
from tests.unit.capsulectl.ui.told import SYNCED, Machine, Streamed, entry, watched

pytestmark = SHOWN

EXTENT = "[document.getElementById('slider').min, document.getElementById('slider').max].join()"


def title(page: Browser) -> str:
    return page.text("#moment-title")


def slider(page: Browser) -> str:
    return str(page.run("document.getElementById('slider').getAttribute('aria-valuetext')"))


def answered(page: Browser, read: str) -> None:
    """Until a read has its whole answer, refused or not."""
    page.until(f"performance.getEntriesByType('resource').some(one => one.name.includes('{read}') && one.responseEnd)")


def begun(machine: Machine) -> Streamed:
    """Entries 3 to 6 are shown of a machine that has two more before them. Its entries, to go on with."""
    machine.answers["CapsuleService/GetInfo"].journal_seq = 6
    entries = Streamed(entry(5), entry(6))
    machine.streams = [entries, Streamed(watched("web"), SYNCED), Streamed(entry(3), entry(4), None)]
    return entries


def test_whoever_returns_to_now_before_an_answer_comes_stays_there(page: Browser, machine: Machine) -> None:
    entries, before = begun(machine), Streamed()
    with opened(page, machine):
        page.until(f"{EXTENT} === '3,6'")
        machine.streams.append(before)
        page.click("#earlier")
        page.until("document.getElementById('moment-title').textContent === 'Entry 2'")
        page.click("#now")
        for one in (entry(1), entry(2), None):
            before.queue.put(one)
        answered(page, "read/entries")
        entries.queue.put(entry(7))
        page.until(f"{NEWEST_EVENT} === '7'")
        assert title(page) == "Now" and page.run(EXTENT) == "3,7" and slider(page).startswith("now, entry 7")


def test_where_an_entry_cannot_be_shown_now_goes_on(page: Browser, machine: Machine) -> None:
    entries = begun(machine)
    machine.answers["HistoryService/AsOf"] = Failure("its journal is cut there")
    with opened(page, machine):
        page.until(f"{EXTENT} === '3,6'")
        machine.streams.append(Streamed(entry(1), entry(2), None))
        page.click("#earlier")
        page.until("document.getElementById('trouble').textContent.includes('Entry 2 cannot be shown')")
        answered(page, "read/entries")
        entries.queue.put(entry(7))
        page.until(f"{NEWEST_EVENT} === '7'")
        assert title(page) == "Now" and page.run(EXTENT) == "3,7" and page.run("location.hash") == ""


def test_an_answer_to_the_field_that_was_overtaken_moves_nothing(page: Browser, machine: Machine) -> None:
    machine.streams = [Streamed(entry(1), entry(2)), Streamed(watched("web"), SYNCED)]
    answer, released = machine.answers["HistoryService/AsOf"], threading.Event()

    def slow(request: Any) -> Any:
        assert released.wait(20)
        return answer

    with opened(page, machine):
        go(page, 1)
        machine.answers["HistoryService/AsOf"] = slow
        ask_for(page, "2h ago")
        page.click("#now")
        released.set()
        answered(page, "at=2h")
        ask_for(page, "soon")  # by its refusal, the answer before has been taken
        page.until("document.getElementById('trouble').textContent.includes('is no moment')")
        assert title(page) == "Now" and page.run("location.hash") == ""


def test_who_skips_to_the_workloads_stays_at_the_moment(page: Browser, machine: Machine) -> None:
    machine.streams = [Streamed(entry(1), entry(2)), Streamed(watched("web"), SYNCED)]
    with opened(page, machine):
        go(page, 1)
        page.run("window.skipped = new Promise(done => addEventListener('hashchange', () => done(), {once: true})); 0")
        page.run("document.querySelector('.skip').focus()")
        page.press("Enter", 13, "\r")
        page.run("window.skipped")
        assert page.run("document.activeElement.id") == "workloads"
        assert title(page) == "Entry 1" and page.run("location.hash") == "#1", "an address that is kept names it still"
        page.run("location.hash = '#2'")
        page.until("document.getElementById('moment').dataset.shown === 'entry 2'")
        page.run("location.hash = ''")
        page.until("document.getElementById('moment-title').textContent === 'Now'")


def test_a_machine_that_comes_back_with_very_much_more_leaves_the_moment_whole(
    page: Browser, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capsulectl.ui.live.RETRY_S", (0.2,))
    entries = Streamed(entry(1), entry(2), entry(3))
    machine.answers["CapsuleService/GetInfo"].journal_seq = 3
    machine.answers["HistoryService/AsOf"].seq = 2
    machine.streams = [entries, Streamed(watched("web"), SYNCED)]
    with opened(page, machine):
        go(page, 2)
        machine.answers["CapsuleService/GetInfo"].journal_seq = 9
        back = (Streamed(entry(8), entry(9)), Streamed(watched("web"), SYNCED), Streamed(entry(6), entry(7), None))
        machine.streams = [*back]
        entries.queue.put(Failure("the capsule does not answer at home"))
        page.until("document.getElementById('moment-text').textContent.endsWith('7 entries since')")
        assert title(page) == "Entry 2" and slider(page).startswith("entry 2,") and page.run(EXTENT) == "1,3"
        assert page.run(NEWEST_EVENT) == "2"
        page.click("#now")
        page.until(f"{EXTENT} === '6,9'")
        assert slider(page).startswith("now, entry 9")
