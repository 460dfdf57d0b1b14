"""The page in several tabs of one browser, which has six connections for all of them."""

import threading
from contextlib import ExitStack
from typing import Any

from capsule.v1 import workload_pb2
from tests.support.browser import Browser
from tests.support.page import NEWEST_EVENT, SHOWN, ask_for, go, opened
from tests.unit.capsulectl.ui.told import SYNCED, Machine, Streamed, entry, watched

pytestmark = SHOWN

TABS = 7
SOON = "{ const bound = AbortSignal.timeout.bind(AbortSignal); AbortSignal.timeout = (ms) => bound(ms / 500) }"
"""By a page's own clock."""


def machine_now(*seqs: int) -> list[Streamed]:
    return [Streamed(*map(entry, seqs)), Streamed(watched("web"), SYNCED)]


def written(text: str) -> workload_pb2.WorkloadLogChunk:
    return workload_pb2.WorkloadLogChunk(data=f"{text}\n".encode(), at_unix_ns=1_000_000)


def test_the_page_in_more_tabs_than_a_browser_has_connections_is_read_in_each(page: Browser, machine: Machine) -> None:
    machine.streams = [one for _ in range(TABS) for one in machine_now(1, 2)]
    with opened(page, machine) as shown, ExitStack() as others:
        address = shown.run("location.href")
        for _ in range(TABS - 1):
            others.enter_context(shown.beside(address, seen=False))
        go(shown, 1)


def test_a_page_that_is_seen_again_shows_what_came_meanwhile(page: Browser, machine: Machine) -> None:
    machine.streams = machine_now(1, 2)
    with opened(page, machine):
        machine.streams += [Streamed(written("before"))]
        page.run(
            "document.getElementById('log-of').value = 'web'; "
            "document.getElementById('log-of').dispatchEvent(new Event('change'))"
        )
        page.until("document.getElementById('log').textContent.includes('before')")
        with page.beside("about:blank"):
            page.until("document.hidden")
            machine.answers["CapsuleService/GetInfo"].journal_seq = 3
            # Which of the page's streams is asked for first is the browser's choice.
            log = Streamed(written("before"), written("meanwhile"))
            machine.by_name = {"Logs": log, "List": Streamed(*map(entry, (1, 2, 3))), "Watch": machine_now()[1]}
        page.until(f"{NEWEST_EVENT} === '3'")
        page.until("document.getElementById('log').textContent.includes('meanwhile')")
        assert page.text("#log").count("before") == 1
        assert page.text("#link-text") == "live" and not page.text("#trouble")


def test_a_read_that_does_not_come_to_its_turn_says_what_may_hold_it_up(page: Browser, machine: Machine) -> None:
    machine.streams = machine_now(1, 2)
    answer, released = machine.answers["HistoryService/AsOf"], threading.Event()

    def held_up(request: Any) -> Any:
        assert released.wait(20)
        return answer

    with opened(page, machine):
        machine.answers["HistoryService/AsOf"] = held_up
        page.run(SOON)
        ask_for(page, "2h ago")
        page.until("document.getElementById('trouble').textContent.includes('open in many windows')")
        released.set()
