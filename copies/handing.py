"""An open pipe handed to another process of this machine, at a socket that waits for that alone: archives then go from
one process's file to the other's, and not through a third. Source: unix(7), SCM_RIGHTS and SO_PEERCRED.
"""

import os
import socket
import struct

METADATA = "capsule-copy-pipe"
"""Of a call: from a client that can take a pipe. Of the beginning of its answer: the path where one waits, if any."""
TAKE_S = 2.0
"""For either side to do its part. Then the archive goes by messages."""
_WORD = b"p"
_CREDENTIALS = struct.Struct("3i")


def give(connection: socket.socket, fd: int) -> bool:
    """Hand it to the peer, if that is root or who we are. Raises OSError."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(found)
    if uid not in (0, os.geteuid()):
        return False
    socket.send_fds(connection, [_WORD], [fd])
    return True


def take(path: str) -> int | None:
    """The pipe that waits at a socket; None if it is not to be had."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TAKE_S)
        try:
            connection.connect(path)
            _, fds, _, _ = socket.recv_fds(connection, len(_WORD), 1)
        except OSError:
            return None
    if not fds:
        return None
    os.set_inheritable(fds[0], False)
    os.set_blocking(fds[0], True)
    return fds[0]
