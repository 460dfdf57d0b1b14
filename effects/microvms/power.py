"""A machine's power button, for a guest that has no agent to be asked: whether it listens is its own affair.

Source: QEMU's machine protocol (QMP), whose every message is a line of JSON.
"""

import asyncio
from pathlib import Path

_ANSWER_BYTES = 64 << 10


async def press(socket: Path) -> None:
    """Returns once the monitor has heard. Raises OSError."""
    reader, writer = await asyncio.open_unix_connection(socket, limit=_ANSWER_BYTES)
    try:
        await _line(reader)  # its greeting
        for command in (b'{"execute": "qmp_capabilities"}\n', b'{"execute": "system_powerdown"}\n'):
            writer.write(command)
            await writer.drain()
            await _line(reader)
    finally:
        writer.close()


async def _line(reader: asyncio.StreamReader) -> None:
    try:
        if not await reader.readline():
            raise ConnectionResetError("the monitor has gone")
    except ValueError:
        raise ConnectionResetError("the monitor says more than is believable") from None
