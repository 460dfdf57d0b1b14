"""Named pipes as asyncio streams: our ends of a process's standard streams."""

import asyncio
import os
from pathlib import Path

READ_BYTES = 1 << 16


class Pipe:
    """The reading end. It opens at once: as long as nobody writes, there is nothing to read yet and no end either."""

    def __init__(self, reader: asyncio.StreamReader, transport: asyncio.BaseTransport) -> None:
        self._reader = reader
        self._transport = transport

    async def read(self) -> bytes:
        """What comes next, at most READ_BYTES; empty once every writer has closed."""
        return await self._reader.read(READ_BYTES)

    def close(self) -> None:
        """Let go; whoever still writes is told."""
        self._transport.close()


async def reading(path: Path) -> Pipe:
    """Open `path` to read from."""
    reader = asyncio.StreamReader(limit=READ_BYTES)
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), file
    )
    return Pipe(reader, transport)


async def writing(path: Path) -> asyncio.StreamWriter:
    """Open `path` to write to. Somebody must have it open for reading."""
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC), "wb", buffering=0)
    loop = asyncio.get_running_loop()
    # The protocol's reader stays empty; with it the protocol can tell when the transport has closed.
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), file
    )
    return asyncio.StreamWriter(transport, protocol, None, loop)
