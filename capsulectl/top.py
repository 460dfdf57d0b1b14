"""`capsulectl top`: what workloads use, in a window that refreshes itself; off a terminal one plain sample."""

import os
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from capsulectl.connection import Connection
from capsulectl.errors import Failure
from capsulectl.options import COMMON, Common, Output
from capsulectl.render import printable, table
from capsulectl.selecting import Labels
from capsulectl.stats import Interval, Some, Sort, asked_for, show_sample, watched
from capsulectl.stats_rows import Key, aligned, headings, ordered, percent_text, row_of
from capsulectl.terminal import is_terminal, size
from projections.words import bytes_text

KEYS: dict[str, Key] = {"c": "cpu", "m": "memory", "p": "pids", "d": "disk", "n": "network", "a": "name"}
_AROUND = 6
"""Lines of the window that are no workload's."""


def top(
    names: Some = (),
    /,
    *,
    selector: Labels = (),
    output: Output = "table",
    sort: Sort = "cpu",
    interval: Interval = 2.0,
    common: Common = COMMON,
) -> None:
    """Show what workloads use, live: c, m, p, d, n and a order it by cpu, memory, pids, disk, network and name; q ends
    it. Off a terminal, and with -o json, yaml or name, one sample is printed.

    Example: capsulectl top --sort memory
    """
    connection = Connection(common.capsule)
    chosen = asked_for(connection, names, selector, "top")
    samples = watched(connection, chosen, interval)
    if output not in ("table", "wide") or not _is_live():
        for sample in samples:
            show_sample(sample, output, sort)
            return
    Live(samples, output == "wide", sort).run()


def _is_live() -> bool:
    return is_terminal(0) and is_terminal(1) and os.environ.get("TERM", "") not in ("", "dumb")


class Live:
    """The window: the newest sample, in the order that was asked for last."""

    def __init__(self, samples: Any, wide: bool, sort: Key) -> None:
        from capsulectl.screen import Screen

        self._samples = samples
        self._wide = wide
        self._sort: Key = sort
        self._screen = Screen()
        self._news: SimpleQueue[Any] = SimpleQueue()
        self._shown: Any = None

    def run(self) -> None:
        """Until q, or until nothing more comes; that is told once the window is as it was. Raises Failure."""
        with self._screen.taken():
            Thread(target=self._listen, daemon=True).start()
            self._draw()
            while (keys := self._screen.waits()) is not None and not {"q", "Q"} & set(keys):
                self._sort = next((KEYS[key] for key in reversed(keys) if key in KEYS), self._sort)
                self._take()
                self._draw()

    def _listen(self) -> None:
        try:
            for sample in self._samples:
                self._tell(sample)
            self._tell(Failure("the capsule ended the stream: try again"))
        except Failure as failure:
            self._tell(failure)

    def _tell(self, news: Any) -> None:
        self._news.put(news)
        self._screen.wake()

    def _take(self) -> None:
        while True:
            try:
                news = self._news.get_nowait()
            except Empty:
                return
            if isinstance(news, Failure):
                raise news
            self._shown = news

    def _draw(self) -> None:
        _, rows = size() or (80, 24)
        self._screen.draw(page(self._shown, self._sort, self._wide, rows))


def page(sample: Any, sort: Key, wide: bool, rows: int) -> list[str]:
    """The window's lines: the machine, the workloads that there is room for, the keys."""
    keys = "q quit" + "".join(f" · {key} {name}" for key, name in KEYS.items())
    if sample is None:
        return ["measuring …", "", keys]
    usages = ordered((usage for usage in sample.workloads if usage.measured), sort)
    room = max(rows - _AROUND, 1)
    head, *lines = table(*aligned(headings(wide), _cells(usages[:room], wide))).splitlines()
    more = [f"… {len(usages) - room} more"] if len(usages) > room else []
    return [machine_line(sample, len(usages)), "", head, *lines, *more, "", f"{sort} first · {keys}"]


def _cells(usages: Sequence[Any], wide: bool) -> list[list[str]]:
    return [[printable(cell) for cell in row_of(usage, wide)] for usage in usages]


def machine_line(sample: Any, running: int) -> str:
    """The whole machine, whoever uses it."""
    machine = sample.machine
    used = machine.memory_total_bytes - machine.memory_available_bytes
    cpu = f"cpu {percent_text(machine.cpu_percent)} of {machine.cpu_cores} cores"
    memory = f"memory {bytes_text(used)} of {bytes_text(machine.memory_total_bytes)}"
    clock = time.strftime("%H:%M:%S", time.localtime(sample.at_unix_ns // 1_000_000_000))
    return f"{clock}  {cpu}, load {machine.load_1:.2f} · {memory} · {running} running"
