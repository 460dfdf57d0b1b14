"""What an init system is told: that the daemon serves. systemd waits for it (`Type=notify`, sd_notify(3))."""

import contextlib
import socket


def tell_ready(place: str) -> None:
    """At `place`, a socket's path or, behind an @, its abstract name; empty for nobody. That nobody listens there is no
    reason not to serve."""
    if not place:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as told, contextlib.suppress(OSError):
        told.sendto(b"READY=1", "\0" + place[1:] if place.startswith("@") else place)
