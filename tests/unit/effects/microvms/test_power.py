"""The power button of a machine that has no agent, pressed by QEMU's machine protocol."""

import asyncio
import json
from pathlib import Path

import pytest

from effects.microvms.power import press


class Machine:
    """Held still by a full disk: until it goes on, what is asked of its guest is not heard. It tells of everything that
    happens before it answers."""

    def __init__(self) -> None:
        self.still = True
        self.off = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"QMP": {}}\n')
        while line := await reader.readline():
            self._obey(json.loads(line)["execute"])
            writer.write(b'{"event": "RESUME"}\n')
            await asyncio.sleep(0.01)
            writer.write(b'{"event": "BLOCK_IO_ERROR"}\n{"return": {}}\n')
        writer.close()

    def _obey(self, command: str) -> None:
        self.still = self.still and command != "cont"
        self.off = self.off or (command == "system_powerdown" and not self.still)


async def _speechless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"no JSON\n")
    writer.close()


def test_a_machine_that_is_held_still_goes_on_and_hears_the_button(tmp_path: Path) -> None:
    async def inside() -> None:
        machine = Machine()
        async with await asyncio.start_unix_server(machine.serve, tmp_path / "power"):
            await press(tmp_path / "power")
        assert machine.off

    asyncio.run(inside())


def test_what_is_no_monitor_is_an_error(tmp_path: Path) -> None:
    async def inside() -> None:
        async with await asyncio.start_unix_server(_speechless, tmp_path / "power"):
            with pytest.raises(ConnectionResetError):
                await press(tmp_path / "power")

    asyncio.run(inside())
