"""A machine's power button, for a guest that has no agent to be asked: whether it listens is its own affair.

Source: QEMU's machine protocol (QMP), whose every message is a line of JSON: an answer to each command, and events
whenever there are some.
"""

import asyncio
from pathlib import Path

import msgspec

_ANSWER_BYTES = 64 << 10
_COMMANDS = ("qmp_capabilities", "cont", "system_powerdown")
"""A machine that is held still, as its disk here was full when it wrote, hears of no button before it goes on."""


class _Message(msgspec.Struct):
    event: str = ""


_MESSAGE = msgspec.json.Decoder(_Message)


async def press(socket: Path) -> None:
    """Returns once the monitor has heard. Raises OSError."""
    reader, writer = await asyncio.open_unix_connection(socket, limit=_ANSWER_BYTES)
    try:
        await _message(reader)  # its greeting
        for command in _COMMANDS:
            writer.write(msgspec.json.encode({"execute": command}) + b"\n")
            await writer.drain()
            while (await _message(reader)).event:
                pass
    finally:
        writer.close()


async def _message(reader: asyncio.StreamReader) -> _Message:
    try:
        line = await reader.readline()
        if not line:
            raise ConnectionResetError("the monitor has gone")
        return _MESSAGE.decode(line)
    except ValueError:  # msgspec's errors are ValueErrors, too
        raise ConnectionResetError("the monitor says what is not believable") from None
