"""The page of `capsulectl ui` in a browser, of a machine that a test makes up."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from capsulectl.ui.reads import Reads
from capsulectl.ui.server import Server
from tests.support.browser import Browser
from tests.unit.capsulectl.ui.told import Machine

SHOWN = pytest.mark.needs("chromium")
NEWEST_EVENT = "document.querySelector('#events .entry')?.textContent"


@contextmanager
def opened(page: Browser, machine: Machine) -> Iterator[Browser]:
    """Until the end of a block, from when its workloads are shown."""
    server = Server(Reads(machine))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        page.open(server.address)
        page.until("document.querySelectorAll('#workloads > li').length")
        yield page
    finally:
        page.open("about:blank")
        server.shutdown()
        server.server_close()
        thread.join()


def go(page: Browser, to: object) -> None:
    """By the field for a moment, and until it is shown whole."""
    ask_for(page, to)
    page.until(f"document.getElementById('moment').dataset.shown === 'entry {to}'")


def ask_for(page: Browser, to: object) -> None:
    """By the field for a moment; nothing is waited for."""
    page.run(f"document.getElementById('go-to').value = '{to}'; document.getElementById('go').requestSubmit()")
