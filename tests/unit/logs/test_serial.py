"""The consoles of microVMs: followed over runs, held to their bound, and shown without what a terminal would obey."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from capsule.v1 import workload_pb2 as pb
from capsuled.aside import THREADS
from capsuled.logs.cutting import remove
from capsuled.logs.files import SERIAL_SUFFIX, path_of
from capsuled.logs.growth import Growth
from capsuled.logs.holes import front_of
from capsuled.logs.serial import MAX_BYTES, PIECE_BYTES, Console, Serials
from capsuled.rpc import Refused
from journal.specs import MicroVM
from tests.support.turns import turns
from tests.support.until import until
from tests.unit.logs.test_following import House, run


@asynccontextmanager
async def house(directory: Path) -> AsyncIterator[tuple[House, Serials]]:
    made = House(directory)
    growth = Growth()
    try:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            serials = Serials(made, directory, growth, group)  # type: ignore[arg-type]
            serials.open()
            yield made, serials
            serials.close()
    finally:
        growth.close()


def boots(made: House) -> None:
    """A run begins, with its console."""
    made.starts("vm", vm=MicroVM())
    made.writes("vm", b"", SERIAL_SUFFIX)
    made.changed("vm")


async def text(made: House, serials: Serials, **fields: Any) -> bytes:
    request = pb.WorkloadLogsRequest(name="vm", source=pb.LOG_SOURCE_SERIAL, **fields)
    return b"".join([chunk.data async for chunk in serials.stream(made.story["vm"], request)])


def test_a_followed_console_goes_on_over_runs_and_ends_with_the_workload(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as (made, serials):
            boots(made)
            made.writes("vm", b"Linux\r\n", SERIAL_SUFFIX)
            seen: list[tuple[int, bytes]] = []

            async def follow() -> None:
                request = pb.WorkloadLogsRequest(name="vm", follow=True)
                async for chunk in serials.stream(made.story["vm"], request):
                    seen.append((chunk.run, chunk.data))

            following = asyncio.ensure_future(follow())
            await until(lambda: seen)
            made.writes("vm", b"panic\r\n", SERIAL_SUFFIX)
            await until(lambda: len(seen) == 2)
            made.ends("vm")
            boots(made)
            made.writes("vm", b"again\n", SERIAL_SUFFIX)
            await until(lambda: len(seen) == 3)
            made.stops("vm")
            await following
            assert seen == [(1, b"Linux\n"), (1, b"panic\n"), (2, b"again\n")]
            assert await text(made, serials) == b"again\n"
            assert await text(made, serials, previous=True, tail_lines=1) == b"panic\n"

    run(main)


def test_a_console_keeps_its_bound(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as (made, serials):
            boots(made)
            made.writes("vm", b"x" * 79 + b"\n", SERIAL_SUFFIX)
            made.writes("vm", (b"y" * 79 + b"\n") * (MAX_BYTES // 40), SERIAL_SUFFIX)
            path = path_of(tmp_path / "vm", made.story["vm"].uid, 1, SERIAL_SUFFIX)
            with path.open("rb") as file:
                await until(lambda: front_of(file.fileno()))
            kept = await text(made, serials)
            assert kept.startswith(b"y") and len(kept) <= MAX_BYTES
            remove(tmp_path / "vm", made.story["vm"].uid, 1)
            assert not path.exists()

    run(main)


def test_a_console_that_is_nothing_but_what_is_spelt_out_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_fit: list[tuple[int, int]] = []
    seemly = Console.seemly

    def watched(console: Console, data: bytes) -> bytes:
        made_fit.append((threading.get_ident(), len(data)))
        return seemly(console, data)

    async def main() -> None:
        async def read() -> None:
            length, request = 0, pb.WorkloadLogsRequest(name="vm", source=pb.LOG_SOURCE_SERIAL)
            heard: list[int] = []
            async for chunk in serials.stream(made.story["vm"], request):
                length += len(chunk.data)
                heard.append(had())
            assert length == 4 * MAX_BYTES
            assert all(before < after for before, after in pairwise(heard)), "others have a turn between any two pieces"

        async with house(tmp_path) as (made, serials), turns() as had:
            boots(made)
            made.writes("vm", b"\x1b" * MAX_BYTES, SERIAL_SUFFIX)
            await asyncio.gather(*(read() for _ in range(4)))
        assert len(made_fit) >= 4 * MAX_BYTES // PIECE_BYTES and max(size for _, size in made_fit) <= PIECE_BYTES
        threads = {thread for thread, _ in made_fit}
        assert threading.get_ident() not in threads and len(threads) <= THREADS, "few take turns beside the loop"

    monkeypatch.setattr(Console, "seemly", watched)
    run(main)


def test_what_a_guest_writes_moves_no_cursor() -> None:
    console = Console()
    # A letter that is broken over two pieces, a colour, a cursor, an old code for them, and one that turns the writing.
    pieces = (b"gr\xc3", b"\xbc\xc3\x9fe\r\n", b"\x1b[31m\x08\x07", "\x9b2J\u202e".encode(), b"\xff")
    said = b"".join(console.seemly(one) for one in pieces).decode()
    assert said == "gr\u00fc\u00dfe\n" + r"\x1b[31m\x08\x07\x9b2J\x202e\xff"


def test_what_a_console_has_not_is_refused_by_its_field(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as (made, serials):
            boots(made)
            made.starts("web")
            asked: tuple[tuple[str, dict[str, Any], str], ...] = (
                ("web", {}, "NO_SERIAL"),
                ("vm", {"since_unix_ns": 1}, "NO_TIMES"),
                ("vm", {"timestamps": True}, "NO_TIMES"),
                ("vm", {"stream": pb.LOG_STREAM_STDERR}, "NO_STREAM"),
                ("vm", {"run": 7}, "NO_SUCH_LOG"),
            )
            for name, fields, reason in asked:
                request = pb.WorkloadLogsRequest(name=name, **fields)
                with pytest.raises(Refused) as refused:
                    await anext(serials.stream(made.story[name], request))
                assert refused.value.refusal.reason == reason

    run(main)
