"""What the machine is called, as a LAN can be told. What it is to be called, the OS says: capsuled/boot/hostname.py."""

import socket

LABEL_BYTES = 63


def own_hostname() -> str:
    """This machine's name, as one label; empty when it has none to tell it by."""
    name = socket.gethostname().partition(".")[0]
    fits = 0 < len(name.encode()) <= LABEL_BYTES and name.isprintable()
    return name if fits and name != "localhost" else ""
