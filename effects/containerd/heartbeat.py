"""Whether containerd still answers: one that hangs ends nothing and says nothing, and every call to it waits with it.

It is asked what version it is, which takes no lock in it: one that only waits for a slow disk answers. Late once,
`warnings` of the connection tell; late many times in a row, it is killed, and whoever keeps it running starts it again.
Containers run on: their shims are not its children.
"""

import asyncio
import logging
import os
import signal
import socket
import struct
from pathlib import Path

from effects.containerd.connection import Connection

BEAT_S = 10.0
LATE_S = 10.0
"""For an answer: it takes a millisecond, and on a machine with no processor to spare a second."""
LATES = 8
"""In a row, until it is taken for hung: 80 s, longer than a disk is stuck that comes back."""
_CONNECT_S = 1.0
_PEER = struct.Struct("3i")
"""`struct ucred`: pid, uid, gid. Source: unix(7), SO_PEERCRED."""

log = logging.getLogger(__name__)


async def keep_answering(connection: Connection, beat_s: float = BEAT_S, late_s: float = LATE_S) -> None:
    """Ask every `beat_s` until cancelled; end a containerd that gave no answer within `late_s` for LATES times, and
    try again after as many where it cannot be ended."""
    lates = 0
    while True:
        if await connection.answers(late_s):
            lates = 0
            await asyncio.sleep(beat_s)
            continue
        lates += 1
        if lates % LATES:
            continue
        try:
            await asyncio.to_thread(_end, connection.address)
        except OSError as error:
            log.error("containerd has hung for %.0f s, and cannot be ended: %s", lates * late_s, error)
        else:
            log.error(
                "containerd has hung for %.0f s: it was killed, and is started again. What runs goes on", lates * late_s
            )
            lates = 0


def _end(address: Path) -> None:
    """Kill who listens there. What hangs takes no other signal. Raises OSError."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(_CONNECT_S)
        asked.connect(str(address))
        pid, _, _ = _PEER.unpack(asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        if pid <= 0:  # to kill 0 would be to kill ourselves
            raise ProcessLookupError("its process cannot be seen from here")
        os.kill(pid, signal.SIGKILL)
