"""The machine's power button: pressed, it is switched off in order, as a call would do it.

Source: the kernel's Documentation/input/input.rst; key codes of linux/input-event-codes.h.
"""

import asyncio
import logging
import os
import struct
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

KEY_POWER = 116
_EV_KEY = 1
_EVENT = struct.Struct("llHHi")


def buttons(sys: Path = Path("/sys")) -> tuple[str, ...]:
    """Input devices that have such a button, by name."""
    found = []
    for place in sorted((sys / "class/input").glob("event*")):
        try:
            words = (place / "device/capabilities/key").read_text().split()
        except OSError:
            continue
        # The lowest keys stand last, 64 in each word.
        index, bit = divmod(KEY_POWER, 64)
        if len(words) > index and int(words[-1 - index], 16) >> bit & 1:
            found.append(place.name)
    return tuple(found)


def is_pressed(data: bytes) -> bool:
    """Whether the button went down in these events. Pure."""
    whole = len(data) - len(data) % _EVENT.size
    return any(
        kind == _EV_KEY and code == KEY_POWER and value == 1
        for _, _, kind, code, value in _EVENT.iter_unpack(data[:whole])
    )


async def watch_button(pressed: Callable[[], None]) -> None:
    """Call `pressed` whenever it is, until cancelled."""
    loop = asyncio.get_running_loop()
    fds: list[int] = []

    def look(fd: int) -> None:
        try:
            data = os.read(fd, 64 * _EVENT.size)
        except OSError:
            loop.remove_reader(fd)
            return
        if is_pressed(data):
            log.warning("the power button was pressed")
            pressed()

    try:
        for name in buttons():
            try:
                fds.append(os.open(f"/dev/input/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            except OSError as error:
                log.warning("the power button at %s is not heard: %s", name, error.strerror)
                continue
            loop.add_reader(fds[-1], look, fds[-1])
        await asyncio.Event().wait()
    finally:
        for fd in fds:
            loop.remove_reader(fd)
            os.close(fd)
