"""The right time, by SNTP (RFC 4330): asked of the servers that the operator wrote down, else of those that DHCP named
and, where these do not tell it, of Debian's.

The first answer after the daemon's start sets the clock, for a board without a battery wakes up anywhere, and one that
had Windows is hours ahead; but never before a moment that is known to have passed (capsuled/believed.py), nor beyond
ten years after this release was built. Later ones move it slowly; a server that is further off than that is not
believed, unless no server agrees with the clock any more and they do with each other (agreement.py): the machine stood
still. Order and deadlines never depend on this clock (journal/clock.py).
"""

import asyncio
import ctypes
import logging
import os
import struct
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from capsuled.boot.agreement import Agreement
from capsuled.processes import CommandFailed, run

log = logging.getLogger(__name__)

DEFAULT_SERVERS = tuple(f"{number}.debian.pool.ntp.org" for number in range(4))
PORT = 123
ANSWER_S = 5.0
NAME_S = 15.0
"""For a server's name: two DNS servers that are dead cost ten seconds before a third is asked. Where all are silent, it
would take up to 40 to hear so."""
FIRST_RETRY_S, CAP_RETRY_S = 4.0, 900.0
EVERY_S = 1800.0
SLOWLY_S = 0.5
"""A difference below this is made up for gradually."""

LATER_S = 900.0
"""After the first time, a server that is further off is not believed by itself."""

HORIZON_S = 10 * 365 * 86_400

_TO_UNIX_S = 2_208_988_800
_PACKET = struct.Struct("!BBBb11I")
_CLIENT, _SERVER, _VERSION = 3, 4, 4
_NO_LEAP_INFORMATION = 3


class Answer(msgspec.Struct, frozen=True):
    """`offset_s`: how much later it is than this machine's clock says."""

    offset_s: float
    delay_s: float


class Bounds(msgspec.Struct, frozen=True):
    """Seconds since the epoch: what the time may not be before, by the journal and by the release, and not after."""

    least_s: float
    most_s: float
    built_s: float = 0.0


def bounds_of(built_s: float, believed_s: float = 0.0) -> Bounds:
    """Those of a machine whose release was built then (infinity: nobody knows when), and whose journal knows of a
    moment that has passed. Pure."""
    return Bounds(believed_s, built_s + HORIZON_S, built_s if built_s < float("inf") else 0.0)


def request(sent_s: float) -> bytes:
    """What is asked. The time goes along, and comes back as the mark of an answer to just this."""
    return _PACKET.pack(_VERSION << 3 | _CLIENT, 0, 0, 0, *(0,) * 9, *_stamp(sent_s))


def parsed(data: bytes, sent_s: float, received_s: float) -> Answer:
    """What the server says. Raises ValueError for what is no answer to this. Pure."""
    if len(data) < _PACKET.size:
        raise ValueError("the answer is too short")
    first, stratum, _, _, *words = _PACKET.unpack_from(data)
    if first & 7 != _SERVER or tuple(words[5:7]) != _stamp(sent_s):
        raise ValueError("it answers something else")
    if first >> 6 == _NO_LEAP_INFORMATION or not 1 <= stratum <= 15:
        raise ValueError("the server does not know the time itself")
    came_s, went_s = _seconds(words[7], words[8]), _seconds(words[9], words[10])
    return Answer(
        offset_s=((came_s - sent_s) + (went_s - received_s)) / 2,
        delay_s=(received_s - sent_s) - (went_s - came_s),
    )


def _stamp(at_s: float) -> tuple[int, int]:
    whole = int(at_s)
    return (whole + _TO_UNIX_S) & 0xFFFFFFFF, int((at_s - whole) * (1 << 32)) & 0xFFFFFFFF


def _seconds(whole: int, fraction: int) -> float:
    # The era that began in 2036 has small numbers; nothing before 1968 is meant.
    era = 0 if whole & 0x80000000 else 1 << 32
    return whole + era - _TO_UNIX_S + fraction / (1 << 32)


def judged(offset_s: float, now_s: float, first: bool, bounds: Bounds) -> str:
    """Why the clock is not set to this; empty when it is. Pure."""
    then_s = now_s + offset_s
    if then_s < bounds.built_s:
        return "it is before this release was built"
    if then_s < bounds.least_s:
        return "it is before the journal's last entry from when the clock was known to be right"
    if then_s > bounds.most_s:
        return "it is more than ten years after this release was built"
    if not first and abs(offset_s) > LATER_S:
        return f"it differs by {abs(offset_s):.0f} s, though the clock was set before"
    return ""


class NetworkTime:
    """`servers` says whom to ask, each time; `stepped` is told by how many seconds the clock was set, and by whom: also
    of the first time, when it was right already: from there on it is known to be."""

    def __init__(
        self, servers: Callable[[], tuple[str, ...]], bounds: Bounds, stepped: Callable[[float, str], None]
    ) -> None:
        self._servers = servers
        self._bounds = bounds
        self._stepped = stepped
        self._is_set = False
        self._known_s = 0.0
        self._agreement = Agreement()
        self.problem = ""

    async def warnings(self) -> tuple[str, ...]:
        """What an operator should know of now."""
        return (self.problem,) if self.problem else ()

    async def run(self, ready: Callable[[], Awaitable[None]]) -> None:
        """Until cancelled. `ready` returns when there is a way out."""
        await ready()
        delay_s = FIRST_RETRY_S
        while True:
            if await self._ask():
                delay_s = FIRST_RETRY_S
                await asyncio.sleep(EVERY_S)
            else:
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, CAP_RETRY_S)

    async def _ask(self) -> bool:
        whys = dict[str, list[str]]()
        apart = dict[str, float]()
        for server in self._servers():
            try:
                answer = await asked(server)
            except (OSError, ValueError, TimeoutError) as error:
                why = str(error) or "no answer"
                log.debug("%s does not tell the time: %s", server, why)
                whys.setdefault(why, []).append(server)
                continue
            refused = judged(answer.offset_s, time.time(), not self._is_set, self._bounds)
            if not refused:
                await self._correct(answer.offset_s, server)
                return True
            log.warning("the time that %s tells is not taken: %s", server, refused)
            whys.setdefault(f"what it tells is not taken, {refused}", []).append(server)
            if not judged(answer.offset_s, time.time(), True, self._bounds):  # it is but far from what the clock says
                apart[server] = answer.offset_s
        if self._is_set and await self._gave_in(apart):
            return True
        if not self._is_set:
            self.problem = unknown_text(whys)
        elif apart:
            self.problem = doubted_text(whys)
        return False

    async def _gave_in(self, apart: Mapping[str, float]) -> bool:
        """Whether the clock was set after all as servers tell, all of which it contradicts. Not to a time before an
        agreement with a server: that one has passed, or all that has happened since would happen in the future."""
        server = self._agreement.heard(apart)
        if not server or time.time() + apart[server] < self._known_s:
            return False
        await self._correct(apart[server], server)
        return True

    async def _correct(self, offset_s: float, server: str) -> None:
        first, self._is_set = not self._is_set, True
        self._known_s, self._agreement, self.problem = time.time() + offset_s, Agreement(), ""
        if not first and abs(offset_s) < SLOWLY_S:
            _slew(offset_s)
            return
        set_by(offset_s)
        log.info("the clock was set by %+.3f s, as %s says", offset_s, server)
        self._stepped(offset_s, server)
        await keep_time()


def unknown_text(whys: Mapping[str, Sequence[str]]) -> str:
    """What an operator is told while no server has told the time: `whys` has who did not, by why. Pure."""
    return (
        f"the time is not known: no server has told it since the start ({_said(whys)}). Tokens of operators are "
        "refused as expired or from the future where this machine's clock is wrong. Let it reach a server of the time "
        "(UDP, port 123), or name one by DHCP or in /perm/capsule/ntp; without any, set the clock in the machine's "
        "setup, in UTC"
    )


def doubted_text(whys: Mapping[str, Sequence[str]]) -> str:
    """The same while servers contradict a clock that one of them has set. Pure."""
    return (
        f"the time may be wrong: no server agrees any more with the clock that one had set ({_said(whys)}). Tokens of "
        "operators are refused as expired or from the future where this machine's clock is wrong. It is set by itself "
        "once most of them, two at least, tell the same, or one alone has told it five times, unless that is before a "
        "time at which one had agreed. If this stays, name servers in /perm/capsule/ntp that are right"
    )


def _said(whys: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{', '.join(servers)}: {why}" for why, servers in whys.items())


def set_by(offset_s: float) -> None:
    """Set the kernel's clock."""
    time.clock_settime_ns(time.CLOCK_REALTIME, time.time_ns() + int(offset_s * 1e9))


async def keep_time() -> None:
    """Set the machine's own clock, from which the next boot has it: in UTC, for so the kernel reads it."""
    try:
        await run("busybox", "hwclock", "-w", "-u")
    except (CommandFailed, OSError) as error:
        log.info("the machine's own clock keeps its time: %s", error)


async def asked(server: str, port: int = PORT) -> Answer:
    """What one server says now. Raises OSError, ValueError and TimeoutError."""
    loop = asyncio.get_running_loop()
    got: asyncio.Future[tuple[bytes, float]] = loop.create_future()
    try:
        async with asyncio.timeout(NAME_S):
            transport, _ = await loop.create_datagram_endpoint(lambda: _Asking(got), remote_addr=(server, port))
    except TimeoutError:
        raise TimeoutError("no DNS server says what address that is") from None
    try:
        sent_s = time.time()
        transport.sendto(request(sent_s))
        async with asyncio.timeout(ANSWER_S):
            data, received_s = await got
    finally:
        transport.close()
    return parsed(data, sent_s, received_s)


class _Asking(asyncio.DatagramProtocol):
    def __init__(self, got: "asyncio.Future[tuple[bytes, float]]") -> None:
        self._got = got

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self._got.done():
            self._got.set_result((data, time.time()))

    def error_received(self, exc: Exception) -> None:
        if not self._got.done():
            self._got.set_exception(exc)


class _Interval(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("microseconds", ctypes.c_long)]


def _slew(offset_s: float) -> None:
    """By half a thousandth of the time that passes (adjtime(3))."""
    whole = int(offset_s // 1)
    wanted = _Interval(whole, int((offset_s - whole) * 1e6))
    if ctypes.CDLL(None, use_errno=True).adjtime(ctypes.byref(wanted), None):
        log.warning("the clock cannot be moved slowly: %s", os.strerror(ctypes.get_errno()))


def servers_of(file: Path, told: tuple[str, ...], own: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Those of the operator's file, else his `own` of another one, and nobody else: he said whom to believe. Without
    any, those that were told, and behind them Debian's: many a router names itself and answers nothing."""
    try:
        written = tuple(file.read_text().split())
    except (OSError, UnicodeDecodeError):
        written = ()
    return written or own or tuple(dict.fromkeys((*told, *DEFAULT_SERVERS)))
