"""Offers a pipe to a client of this machine: it waits at a socket of its own, which the beginning of the answer names.

For callers on the unix socket only, and in a directory that is as closed as that one's is. Who does not ask for a pipe,
or does not come for it, has the copy's messages.
"""

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from capsuled.caller import Caller
from copies.handing import METADATA, TAKE_S, give
from effects.runs.copy_protocol import Handed
from journal.entry import LOCAL


class Handover:
    """Sockets in `directory`, which is made when the first one is, and then has nothing in it of a dead daemon's."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._made = False

    @asynccontextmanager
    async def offered(self, copy: Handed, caller: Caller, context: Any) -> AsyncIterator["Offer"]:
        """While the block runs, the client may take the copy's end of its pipe."""
        if METADATA not in dict(context.invocation_metadata() or ()):
            yield Offer(copy, None)
            return
        listener, path = None, ""
        if caller.actor == LOCAL:
            with contextlib.suppress(OSError):  # then it goes by messages
                listener, path = self._listen()
        try:
            offer = Offer(copy, listener)
            # A client that asked waits for an answer, be there a pipe or not.
            await context.send_initial_metadata(((METADATA, path),) if listener else ())
            yield offer
        finally:
            if listener is not None:
                offer.close()
                os.unlink(path)

    def _listen(self) -> tuple[socket.socket, str]:
        if not self._made:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory.mkdir(parents=True, mode=0o700)
            self._made = True
        path = str(self._directory / os.urandom(8).hex())
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.setblocking(False)
            listener.bind(path)
            listener.listen(1)
        except BaseException:
            listener.close()
            raise
        return listener, path


class Offer:
    """One pipe, for one taker."""

    def __init__(self, copy: Handed, listener: socket.socket | None) -> None:
        self._copy = copy
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._taken = asyncio.Event()
        if listener is not None:
            self._loop.add_reader(listener, self._accept)

    async def decided(self) -> None:
        """Until the pipe was taken, or no more will be."""
        if self._listener is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TAKE_S):
                    await self._taken.wait()
        self.close()

    def close(self) -> None:
        """Nobody takes it from now on."""
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(OSError):  # whoever came has gone
            connection, _ = self._listener.accept()
            with connection:
                if self._copy.hand(lambda fd: give(connection, fd)):
                    self._taken.set()
                    self.close()
