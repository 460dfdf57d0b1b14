"""Files that grow, as events: inotify, one shot at a time. Nothing is polled, and an idle file costs nothing.

A watch fires once and is armed again when the file was looked at, so a flood of writes is one event. A file that has
been quiet is looked at with each write; one that is written to all the time only every `PAUSE_S`.

What the kernel watches for one user is limited, and others are root, too. A file that it does not watch is looked at by
the clock, until it does.
"""

import asyncio
import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from effects import inotify

log = logging.getLogger(__name__)

PAUSE_S: Final = 0.1
BURST: Final = 20.0
"""So many looks in a row follow the writes themselves, then one each pause; a pause without a look earns one back."""
LOOK_S: Final = 1.0
"""How often the clock looks."""
LET_GO_LOOKS: Final = 10
"""Each of so many times also at who has it open: that is dearer, and only asked for the sake of a full disk."""


class Watched:
    """One file. `grew()` looks at it and says whether it had grown; `closed()` hears that a writer let go of it."""

    def __init__(
        self, growth: "Growth", path: Path, grew: Callable[[], bool], closed: Callable[[], None] | None
    ) -> None:
        self._growth = growth
        self.path = path
        self._grew = grew
        self.closed = closed
        self._looks = BURST
        self._looked_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.ended = False

    def look(self) -> None:
        """Look until it stands still with the watch armed, or until it is time for a pause."""
        self._timer = None
        while not self.ended:
            if self._grew() and not self._may_go_on():
                self._timer = asyncio.get_running_loop().call_later(PAUSE_S, self.look)
                return
            # Armed before the last look: what comes after it fires, what came before it is seen.
            if not self._growth.arm(self) or not self._grew():
                return

    def _may_go_on(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._looks = min(BURST, self._looks + (now - self._looked_at) / PAUSE_S) - 1
        self._looked_at = now
        return self._looks >= 0

    def fired(self) -> None:
        """The watch fired; it is not armed any more."""
        if not self.ended and self._timer is None:
            self.look()

    def end(self) -> None:
        """Watch it no longer."""
        self.ended = True
        if self._timer is not None:
            self._timer.cancel()
        self._growth.forget(self)


class Growth:
    """All watched files of the daemon, on two inotify instances: one for growth, one for writers that let go."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._grows = self._closes = -1
        self._armed: dict[int, Watched] = {}
        self._held: dict[int, Watched] = {}
        self._unarmed: set[Watched] = set()
        self._unheld: set[Watched] = set()
        self._clock: asyncio.TimerHandle | None = None
        self._looks = 0
        self._problem = ""

    def close(self) -> None:
        """Watch nothing any more."""
        for fd in (self._grows, self._closes):
            if fd >= 0:
                self._loop.remove_reader(fd)
                os.close(fd)
        if self._clock is not None:
            self._clock.cancel()
        for watched in {*self._armed.values(), *self._held.values(), *self._unarmed, *self._unheld}:
            watched.ended = True

    async def warnings(self) -> tuple[str, ...]:
        """What an operator should know of now."""
        return (self._problem,) if self._problem else ()

    def watch(self, path: Path, grew: Callable[[], bool], closed: Callable[[], None] | None = None) -> Watched:
        """Look at the file now and whenever it grows."""
        watched = Watched(self, path, grew, closed)
        if closed is not None:
            self._hold(watched)
        watched.look()
        return watched

    def arm(self, watched: Watched) -> bool:
        """Let the next write fire; False when there is no such file, or the clock has to look at it."""
        try:
            self._open()
            self._armed[inotify.add(self._grows, watched.path, inotify.MODIFY | inotify.ONESHOT)] = watched
        except FileNotFoundError:
            return False
        except OSError as error:
            self._unarmed.add(watched)
            self._look_by_clock(error)
            return False
        return True

    def forget(self, watched: Watched) -> None:
        """Hear nothing of it any more."""
        _drop(self._grows, self._armed, watched)
        _drop(self._closes, self._held, watched)
        self._unarmed.discard(watched)
        self._unheld.discard(watched)

    def _hold(self, watched: Watched) -> None:
        try:
            self._open()
            self._held[inotify.add(self._closes, watched.path, inotify.CLOSE_WRITE)] = watched
        except FileNotFoundError:
            pass
        except OSError as error:
            self._unheld.add(watched)
            self._look_by_clock(error)

    def _open(self) -> None:
        """Have both instances. Raises OSError."""
        if self._grows >= 0:
            return
        grows = inotify.instance()
        try:
            self._closes = inotify.instance()
        except OSError:
            os.close(grows)
            raise
        self._grows = grows
        self._loop.add_reader(self._grows, self._read_growth)
        self._loop.add_reader(self._closes, self._read_closes)

    # --- by the clock --------------------------------------------------------------------------------------------

    def _look_by_clock(self, error: OSError) -> None:
        if self._clock is None:
            self._clock = self._loop.call_later(LOOK_S, self._look_at_all)
        if not self._problem:
            self._problem = unwatched_text(error)
            log.warning("%s", self._problem)

    def _look_at_all(self) -> None:
        """At what is not watched; each look tries to have it watched, and puts it back where that fails."""
        self._clock = None
        if not self._unarmed and not self._unheld:
            log.info("the kernel watches all logs again")
            self._problem = ""
            return
        self._clock = self._loop.call_later(LOOK_S, self._look_at_all)
        self._looks += 1
        unarmed, self._unarmed = self._unarmed, set()
        for watched in unarmed:
            self._loop.call_soon(watched.fired)
        if self._looks % LET_GO_LOOKS == 0:
            unheld, self._unheld = self._unheld, set()
            for watched in unheld:
                self._loop.call_soon(self._hold_again, watched)

    def _hold_again(self, watched: Watched) -> None:
        if watched.closed is not None and not watched.ended:
            self._hold(watched)
            watched.closed()

    # --- by notices ----------------------------------------------------------------------------------------------

    def _read_growth(self) -> None:
        for number, mask in inotify.events(self._grows):
            if mask & inotify.OVERFLOW:
                log.warning("the kernel lost notices of growing logs; all are looked at")
                for watched in list(self._armed.values()):
                    watched.fired()
            elif not mask & inotify.IGNORED and (found := self._armed.pop(number, None)) is not None:
                found.fired()

    def _read_closes(self) -> None:
        for number, _ in inotify.events(self._closes):
            found = self._held.get(number)
            if found is not None and found.closed is not None and not found.ended:
                found.closed()


def unwatched_text(error: OSError) -> str:
    """What an operator is told while files are looked at by the clock, because of this `error`. Pure."""
    watches = error.errno == errno.ENOSPC
    lacks, setting = ("watch", "max_user_watches=1048576") if watches else ("instance", "max_user_instances=8192")
    return (
        f"the kernel has no {lacks} of inotify left for root ({error.strerror}), so logs are followed once a second "
        f"instead of at once. Containers take some, too: `sysctl -w fs.inotify.{setting}` gives more, and a file in "
        "/etc/sysctl.d for good"
    )


def _drop(fd: int, table: dict[int, Watched], watched: Watched) -> None:
    for number in [number for number, one in table.items() if one is watched]:
        del table[number]
        inotify.drop(fd, number)
