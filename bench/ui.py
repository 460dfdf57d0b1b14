"""ui.first_paint: from the address to the machine on the screen, against a page of the same that was ready before."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bench.client import Client, sleeper
from bench.report import Row, in_turn, row
from capsule.v1 import machine_pb2
from capsulectl.ui.pages import PAGES
from capsulectl.ui.reads import WINDOW
from tests.support.browser import Browser, browser
from tests.support.daemon import CTL, Daemon, daemon

WORKLOADS = 20
ROUNDS = 11
PAINTED = """
(() => {
    const look = () => {
        if (document.querySelectorAll('#workloads > li').length < %d) return false;
        requestAnimationFrame(() => setTimeout(() => { window.painted = performance.now(); }));
        return true;
    };
    const watch = new MutationObserver(() => { if (look()) watch.disconnect(); });
    if (!look()) watch.observe(document, { childList: true, subtree: true });
})()
"""
"""Runs ahead of either page: when its workloads are there, and the picture that shows them has been drawn."""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing is printed."""


@contextmanager
def _static(directory: Path) -> Iterator[str]:
    """A directory, by the standard library's own server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _page(machine: Daemon) -> Iterator[str]:
    process = subprocess.Popen([CTL, "ui", "-q"], env=machine.environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def _fill(machine: Daemon) -> None:
    """As many entries as the page shows at once."""
    with Client(machine.state / "capsule.sock") as client:
        client.run([sleeper(f"service-{number:02}") for number in range(WORKLOADS)])
        for number in range(WINDOW // 2):
            one = sleeper(f"service-{number % WORKLOADS:02}")
            one.labels["round"] = str(number)
            client.machine.ApplyAll(machine_pb2.ApplyAllRequest(workloads=[one]))


def _keep(seen: Browser, directory: Path) -> None:
    """What is on the screen, as a page without a script, with the style sheet and the drawing beside it."""
    seen.run("document.querySelectorAll('script, link[rel=modulepreload], noscript').forEach(one => one.remove())")
    text = seen.run("'<!doctype html>' + document.documentElement.outerHTML")
    directory.mkdir()
    (directory / "index.html").write_text(text)
    for name in ("page.css", "icon.svg"):
        (directory / name).write_bytes(PAGES[name][1])


def rows(directory: Path) -> list[Row]:
    """In turn, in the same browser, which keeps nothing of either."""
    with daemon() as machine, browser() as seen:
        machine.push_image()
        _fill(machine)
        seen.window(1280, 860)
        seen.send("Network.setCacheDisabled", cacheDisabled=True)
        seen.send("Page.addScriptToEvaluateOnNewDocument", source=PAINTED % WORKLOADS)
        with _page(machine) as address:
            seen.open(address)
            seen.until("window.painted")
            _keep(seen, directory / "static")
            with _static(directory / "static") as ready:
                ours, peer = in_turn(ROUNDS, _measure(seen, address), _measure(seen, ready))
    return [row("ui.first_paint", ours, "ms", "static page", peer)]


def _measure(seen: Browser, address: str) -> Callable[[], float]:
    def measure() -> float:
        seen.open("about:blank")
        seen.open(address)
        return float(seen.until("window.painted"))

    return measure
