"""A living monitor: heard when it ends, and when its guest says something in the end record. Nothing is polled.

It is found by what was written down of it and held by a descriptor; a daemon that adopts it knows all but how it will
have ended, which the kernel tells its parent alone: what the guest has said counts first in any case. Only where the
kernel has no inotify left for us its end record is looked at by the clock, until it has.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable

from effects import inotify
from effects.alive import START_TIME, has_ended, hold, send, stat_field
from effects.microvms.end_record import MOST_BYTES, Record, parse
from effects.microvms.places import Key, MonitorRecord, RunFiles, RunRecord
from journal.specs import Fault

FLOOD_BYTES = 16 * MOST_BYTES
"""What no agent writes into its end record."""
POWER_OFF_S = 60.0
"""From a guest's last word to its end; its volumes are unmounted before it says that."""
_WORDS_BYTES = 4_096
LOOK_S = 1.0
"""How often the clock looks."""

log = logging.getLogger(__name__)

Reaped = Callable[[int], int | None]
"""How a child ended that a pidfd stands for; None for what is no child of ours."""


class Monitor:
    """`process` is its pidfd and `said` the end of a pipe that has what it says; both are closed with it.

    `started`: its payload has become its command. `why`: why this machine put an end to it, though nobody had asked
    for that; `asked`: somebody had. `status`: how it ended as a process, where that is known; `fault`: what went wrong
    where its payload never ran. `oom_kills`: how many of its processes the guest says that it killed, so far.
    """

    def __init__(self, key: Key, files: RunFiles, record: RunRecord, pid: int, process: int, said: int) -> None:
        self.key = key
        self.files = files
        self.record = record
        self.pid = pid
        self.process = process
        self.said = said
        self.started = False
        self.oom_kills = 0
        self.why: tuple[Fault, str] | None = None
        self.asked = False
        self.fault = ""
        self.status: int | None = None
        self.over = asyncio.Event()
        self.news = asyncio.Event()
        self.last_word: asyncio.TimerHandle | None = None

    def kill(self, fault: Fault | None = None, text: str = "") -> None:
        """End it at once."""
        if fault is not None and self.why is None:
            self.why = fault, text
        if self.process >= 0:
            send(self.process, signal.SIGKILL)

    def look(self) -> bool:
        """At its end record. Whether more of what goes on in it was killed for want of memory."""
        size = _size(self.files)
        if size > FLOOD_BYTES:
            self.kill("agent", "the guest wrote without end where only its payload's end belongs")
        record = read_record(self.files)
        self.started = self.started or record.started or not self.record.agent
        if record.ending is not None and self.last_word is None:
            self.last_word = asyncio.get_running_loop().call_later(POWER_OFF_S, self.kill)
        more = record.oom_kills > self.oom_kills
        self.oom_kills = record.oom_kills
        self.news.set()
        return more

    def words(self) -> str:
        """What it said about itself, so far."""
        try:
            return os.read(self.said, _WORDS_BYTES).decode(errors="replace") if self.said >= 0 else ""
        except OSError:
            return ""

    def close(self) -> None:
        """Nothing more is asked of it."""
        for fd in (self.process, self.said):
            if fd >= 0:
                os.close(fd)
        self.process = self.said = -1

    async def ended(self, within_s: float | None) -> bool:
        """Whether it ended in this time."""
        try:
            async with asyncio.timeout(within_s):
                await self.over.wait()
        except TimeoutError:
            return False
        return True


class Monitors:
    """All that live, by their runs. `ended` is called once for each, when it is over, and `suffered` whenever the guest
    says that it has killed more for want of memory."""

    def __init__(self, reaped: Reaped, ended: Callable[[Monitor], None], suffered: Callable[[Monitor], None]) -> None:
        self._reaped = reaped
        self._ended = ended
        self._suffered = suffered
        self._living: dict[Key, Monitor] = {}
        self._notices = -1
        self._watches: dict[int, Monitor] = {}
        self._unwatched: set[Monitor] = set()
        self._clock: asyncio.TimerHandle | None = None

    def get(self, key: Key) -> Monitor | None:
        """None where none lives that is known."""
        return self._living.get(key)

    def known(self) -> tuple[Monitor, ...]:
        """All."""
        return tuple(self._living.values())

    def adopt(self, key: Key, files: RunFiles, boot: str) -> Monitor | None:
        """The monitor that was written down of this run, if it lives."""
        found, record = files.monitor(), files.run()
        if found is None or record is None or found.boot != boot:
            return None
        process = hold(found.pid, found.start_time)
        if process is None:
            return None
        if has_ended(process):
            os.close(process)
            return None
        return self.take(Monitor(key, files, record, found.pid, process, _overheard(found.pid)))

    def take(self, monitor: Monitor) -> Monitor:
        """Follow this one from now on. Gives the one that is followed: who begins one writes it down before he takes
        it, and whoever looks between these two has adopted it; then that one stays, and this one is closed."""
        found = self._living.get(monitor.key)
        if found is not None and found.pid == monitor.pid:
            # Who began it made the pipe that it speaks into; what it had in its place before is what was overheard.
            found.said, monitor.said = monitor.said, found.said
            monitor.close()
            return found
        self._living[monitor.key] = monitor
        asyncio.get_running_loop().add_reader(monitor.process, self._over, monitor)
        if monitor.record.agent:
            self._watch(monitor)
        monitor.look()
        return monitor

    def _watch(self, monitor: Monitor) -> None:
        loop = asyncio.get_running_loop()
        try:
            if self._notices < 0:
                self._notices = inotify.instance()
                loop.add_reader(self._notices, self._read_notices)
            self._watches[inotify.add(self._notices, monitor.files.end, inotify.MODIFY)] = monitor
        except FileNotFoundError:
            pass  # another hand removed it; the monitor's end is heard anyway
        except OSError as error:
            if self._clock is None:
                log.warning("guests are heard of once a second instead of at once: no inotify (%s)", error.strerror)
                self._clock = loop.call_later(LOOK_S, self._look_by_clock)
            self._unwatched.add(monitor)

    def _look_by_clock(self) -> None:
        unwatched = tuple(self._unwatched)
        self._clock = asyncio.get_running_loop().call_later(LOOK_S, self._look_by_clock) if unwatched else None
        for monitor in unwatched:
            self._unwatched.discard(monitor)
            self._watch(monitor)
            self._look(monitor)

    def close(self) -> None:
        """Follow nobody any more; they live on."""
        for monitor in self.known():
            self._forget(monitor)
            monitor.close()
        if self._notices >= 0:
            asyncio.get_running_loop().remove_reader(self._notices)
            os.close(self._notices)
            self._notices = -1
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _read_notices(self) -> None:
        for number, mask in inotify.events(self._notices):
            if mask & inotify.OVERFLOW:
                for monitor in self.known():
                    self._look(monitor)
            elif (found := self._watches.get(number)) is not None and not mask & inotify.IGNORED:
                self._look(found)

    def _look(self, monitor: Monitor) -> None:
        if monitor.look():
            self._suffered(monitor)

    def _over(self, monitor: Monitor) -> None:
        self._forget(monitor)
        try:
            monitor.status = self._reaped(monitor.process)
            self._ended(monitor)
        finally:
            monitor.close()
            monitor.over.set()
            monitor.news.set()

    def _forget(self, monitor: Monitor) -> None:
        # First of all: what has ended stays readable, and whatever fails behind this would be called again for ever.
        asyncio.get_running_loop().remove_reader(monitor.process)
        if self._living.get(monitor.key) is monitor:
            del self._living[monitor.key]
        for number in [number for number, one in self._watches.items() if one is monitor]:
            del self._watches[number]
            inotify.drop(self._notices, number)
        self._unwatched.discard(monitor)
        if monitor.last_word is not None:
            monitor.last_word.cancel()


def read_record(files: RunFiles) -> Record:
    """What a run's end record says by now."""
    try:
        with files.end.open("rb") as file:
            return parse(file.read(MOST_BYTES))
    except FileNotFoundError:
        return Record()


def identity_of(pid: int, boot: str) -> MonitorRecord:
    """What there is to write down of a process that is there."""
    return MonitorRecord(pid, int(stat_field(pid, START_TIME)), boot)


def _size(files: RunFiles) -> int:
    try:
        return files.end.stat().st_size
    except FileNotFoundError:
        return 0


def _overheard(pid: int) -> int:
    """Another reader's end of the pipe that it speaks into; -1 where there is none."""
    try:
        return os.open(f"/proc/{pid}/fd/2", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return -1
