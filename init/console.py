"""Where PID 1 speaks: every console that the kernel writes to, so that a machine with only a screen shows it too.

Source: the kernel's Documentation/admin-guide/serial-console.rst. /dev/console is the last of them alone: the serial
line, which a machine may not even have.
"""

import os

ACTIVE = "/sys/class/tty/console/active"
DEVICES = "/dev"


def opened(active: str = ACTIVE, devices: str = DEVICES) -> tuple[int, ...]:
    """A descriptor of each, held for good: whoever closes a serial line last may wait until it has taken everything.
    None of them waits when it is written to: one with nobody at its other end may take no bytes for ever."""
    try:
        with open(active) as file:
            names = file.read().split()
    except OSError:
        names = []
    found = []
    for name in names or ["console"]:
        try:
            found.append(os.open(f"{devices}/{name}", os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError:
            pass  # the others have it
    return tuple(found)


def show(consoles: tuple[int, ...], text: str) -> None:
    """A line, on each that takes it."""
    for fd in consoles:
        try:
            os.write(fd, f"{text}\r\n".encode())
        except OSError:
            pass
