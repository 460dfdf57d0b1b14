"""Who and where the machine is, on its screen and on its serial line: live, and without a login, for there is none."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)

ACTIVE = Path("/sys/class/tty/console/active")
WIDTH = 79
_CLEAR = "\x1b[H\x1b[2J\x1b[3J"


class Face(msgspec.Struct, frozen=True):
    """What is shown. `unreached`: why there is no address; `claimable`: whoever asks first may adopt it; `trial`: what
    is to be confirmed, and until when; `problems`: what is wrong; all three in words."""

    hostname: str
    short_id: str
    version: str
    slot: str
    addresses: tuple[str, ...]
    fingerprint: str
    claimable: bool
    adopted: bool
    condition: str
    workloads: str
    problems: tuple[str, ...] = ()
    trial: str = ""
    unreached: str = ""


def banner(face: Face) -> str:
    """The text, in lines. Pure."""
    if face.adopted:
        claim = "adopted"
    elif face.claimable:
        claim = "not adopted: `capsulectl adopt ADDRESS`, within 30 minutes"
    else:
        claim = "not adopted, too late: start the machine anew to open the window"
    lines = [
        f"{face.hostname} ({face.short_id})",
        "",
        *address_lines(face.addresses, face.unreached),
        *fingerprint_lines(face.fingerprint),
        f"  claim        {claim}",
        f"  system       {face.version}, {face.slot}, {face.condition}",
        f"  workloads    {face.workloads}",
        *((f"  update       {face.trial}",) if face.trial else ()),
        *(f"  ! {line}" for problem in face.problems for line in wrapped(problem)),
    ]
    return "\n".join(["=" * WIDTH, *lines, "=" * WIDTH])


def address_lines(addresses: tuple[str, ...], unreached: str) -> list[str]:
    """Where the machine is, or why it is nowhere."""
    where = ", ".join(addresses) or ": ".join(filter(None, ("no address yet", unreached)))
    return [f"  {'' if index else 'address':<12} {line}" for index, line in enumerate(wrapped(where, WIDTH - 15))]


def fingerprint_lines(digits: str) -> tuple[str, ...]:
    """In two lines, for a screen of 80 columns."""
    if not digits:
        return ()
    half = len(digits) // 2
    return (f"  fingerprint  {digits[:half]}", f"               {digits[half:]}")


def wrapped(text: str, width: int = WIDTH - 4) -> list[str]:
    """Lines that fit, by words."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) + 1 > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


class Console:
    """The machine's consoles: those that the kernel writes to."""

    def __init__(self, devices: tuple[Path, ...]) -> None:
        self._devices = devices

    @classmethod
    def found(cls) -> "Console":
        """Those of this machine."""
        try:
            return cls(tuple(Path("/dev") / name for name in ACTIVE.read_text().split()))
        except OSError:
            return cls(())

    def show(self, text: str) -> None:
        """On each of them: a screen is cleared before, a serial line goes on."""
        for device in self._devices:
            screen = device.name.removeprefix("tty").isdigit()
            data = (_CLEAR if screen else "") + text + "\n"
            try:
                # Not waited for: a serial line with nobody at its other end may take no bytes for ever.
                fd = os.open(device, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
                try:
                    os.write(fd, data.replace("\n", "\r\n").encode())
                finally:
                    os.close(fd)
            except OSError as error:
                log.debug("nothing is shown on %s: %s", device, error.strerror)


async def keep_showing(console: Console, text: Callable[[], str], news: AsyncIterator[None]) -> None:
    """Show it now, and again with every piece of news that changes it, until cancelled."""
    shown = ""
    while True:
        now = text()
        if now != shown:
            console.show(now)
            shown = now
        await anext(news)


async def merged(*sources: AsyncIterator[object]) -> AsyncIterator[None]:
    """One item for each of any of them. A source that ends in OSError ends alone."""
    woken = asyncio.Event()

    async def hear(source: AsyncIterator[object]) -> None:
        try:
            async for _ in source:
                woken.set()
        except OSError as error:
            log.warning("the console does not hear of all news: %s", error)

    tasks = [asyncio.create_task(hear(source), name="console news") for source in sources]
    try:
        while True:
            await woken.wait()
            woken.clear()
            yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
