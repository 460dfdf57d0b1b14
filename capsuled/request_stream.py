"""The messages of a call whose client streams: read by the servicer and, when the call fails, by the door to its end.

A client that is refused while it still sends sees only the end of its stream, and its user never hears why. So whoever
fails a call leaves the rest of its messages to the door, which reads on, within bounds, before it tells the status.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from capsuled.limits import Patience
from effects.errors import SenderQuiet


class RequestStream:
    """Messages in order, each made of its bytes by `read`, which may raise.

    gRPC loses the message of a read that is given up. Here it waits for whoever reads next, so a reader may be
    cancelled at any time.

    `quiet_s`, where others wait for what this stream is about: how long a whole message of its client may take, from
    the third on. What is announced by the first may have to be made yet; once it comes, much is held for it. However
    little is in each, the next is waited for.
    """

    def __init__(
        self,
        requests: AsyncIterator[bytes],
        read: Callable[[bytes], Any] = bytes,
        quiet_s: float | None = None,
    ) -> None:
        self._requests = requests
        self._read = read
        self._quiet_s = quiet_s
        self._next: asyncio.Future[bytes | None] | None = None
        self._came = 0
        self._ended = False
        self.name = ""
        """The object that the first message names, once it was read; as a call's one message has it."""

    def __aiter__(self) -> "RequestStream":
        return self

    async def __anext__(self) -> Any:
        try:
            async with asyncio.timeout(self._quiet_s if self._came > 1 else None):
                raw = await self._raw()
        except TimeoutError:
            raise SenderQuiet(
                f"nothing more came for {self._quiet_s:g} s, and others wait for what this call holds: make ready what "
                "you send, as in a file, then call again; or send something of it at least so often"
            ) from None
        if raw is None:
            raise StopAsyncIteration
        return self._read(raw)

    async def _raw(self) -> bytes | None:
        if self._ended:
            return None
        if self._next is None:
            self._next = asyncio.ensure_future(anext(self._requests, None))
        raw = await asyncio.shield(self._next)
        self._next = None
        self._came += 1
        self._ended = raw is None
        return raw

    async def drain(self, patience: Patience, chats: bool) -> None:
        """Read to the client's half-close, or as far as `patience` goes. `chats`: the client hears while it sends."""
        left_bytes = patience.all_bytes
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience.all_s):
                while not self._ended and left_bytes > 0:
                    pause_s = patience.chat_s if chats else patience.quiet_s
                    async with asyncio.timeout(pause_s if self._came else patience.first_s):
                        left_bytes -= len(await self._raw() or b"")

    async def close(self) -> None:
        """Nobody reads any more."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
