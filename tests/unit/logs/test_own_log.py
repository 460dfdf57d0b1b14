"""The daemon's own log: how it is written, taken apart, and told to clients by level, time and boot."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from capsule.v1 import capsule_pb2 as pb
from capsuled.logs.cutting import cut_front
from capsuled.logs.growth import Growth
from capsuled.logs.own import OwnLog
from capsuled.logs.plain import READ_BYTES, PlainLog, PlainReader
from capsuled.logs.records import RECORD_BYTES, LineFormat, Parser, Record
from capsuled.rpc import Refused
from tests.support.turns import turns

HEAD = "2026-11-28T04:00:{:02d}.500+00:00"


def line(second: int, level: str, message: str) -> bytes:
    return f"{HEAD.format(second)} {level} capsuled.x: {message}\n".encode()


def formatted(message: str, *arguments: object, error: bool = False) -> str:
    try:
        raise ValueError("too\nmuch")
    except ValueError:
        info = sys.exc_info() if error else None
    record = logging.LogRecord("capsuled.x", logging.WARNING, "x.py", 1, message, arguments, info)
    record.created = 1_795_838_400.5
    return LineFormat().format(record)


def records(*pieces: bytes) -> list[Record]:
    parser = Parser()
    return [one for piece in (*pieces, b"") for one in parser.feed(piece)]


# --- a record ---------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for zone in ("UTC", "Asia/Kolkata", "America/St_Johns"):
        monkeypatch.setenv("TZ", zone)
        __import__("time").tzset()
        (found,) = records(formatted("%s is %d", "web", 3).encode() + b"\n")
        assert (found.level, found.source, found.message) == ("WARNING", b"capsuled.x", "web is 3")
        assert found.at_ns == 1_795_838_400_500_000_000, zone
    monkeypatch.undo()
    __import__("time").tzset()


def test_a_traceback_belongs_to_its_record() -> None:
    (found,) = records(formatted("it broke", error=True).encode() + b"\n")
    assert found.message.startswith("it broke\nTraceback") and found.message.endswith("ValueError: too\nmuch")


def test_nothing_that_is_logged_can_pass_for_a_record_or_move_the_cursor() -> None:
    forged = formatted(f"no\n{HEAD.format(1)} ERROR root: the disk is gone\x1b[2J")
    (found,) = records(forged.encode() + b"\n")
    assert found.level == "WARNING" and "\x1b" not in forged and "gone\\x1b[2J" in found.message


def test_pieces_may_break_anywhere() -> None:
    whole = line(1, "INFO", "one") + line(2, "ERROR", "two\n  more") + line(3, "INFO", "three")
    for at in range(len(whole)):
        found = records(whole[:at], whole[at:])
        assert [(one.level, one.message) for one in found] == [
            ("INFO", "one"),
            ("ERROR", "two\nmore"),
            ("INFO", "three"),
        ]


def test_what_stands_before_the_first_record_is_told_as_it_is() -> None:
    first, second = records(b"half a line\n" + line(1, "INFO", "one"))
    assert (first.data, first.level, first.at_ns, first.message) == (b"half a line\n", "", 0, "half a line")
    assert second.message == "one"


def test_a_line_that_is_being_written_waits_for_its_end() -> None:
    parser = Parser()
    assert not [*parser.feed(line(1, "INFO", "slow")[:-3]), *parser.feed(b"")]
    assert [one.message for piece in (b"ow\n", b"") for one in parser.feed(piece)] == ["slow"]


def test_a_record_without_end_does_not_stay_in_memory() -> None:
    parser = Parser()
    piece = b"  more of it\n" * 20_000
    told = [one for _ in range(16) for one in parser.feed(piece)]
    assert sum(len(one.data) for one in told) > 16 * len(piece) - 2 * RECORD_BYTES


# --- a client ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def log_of(path: Path) -> AsyncIterator[OwnLog]:
    growth = Growth()
    async with asyncio.TaskGroup() as group:
        log = PlainLog(growth, group, path)
        try:
            yield OwnLog(log)
        finally:
            log.close()
            growth.close()


def run(main: Callable[[], Coroutine[None, None, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await main()

    asyncio.run(bounded())


async def told(log: OwnLog, **fields: object) -> list[pb.CapsuleLogChunk]:
    return [chunk async for chunk in log.stream(pb.CapsuleLogsRequest(**fields))]  # type: ignore[arg-type]


LINES = [
    line(1, "DEBUG", "looked"),
    line(2, "INFO", "serving"),
    line(3, "WARNING", "slow"),
    line(4, "ERROR", "broken\n  because"),
    line(5, "CRITICAL", "lost"),
    line(6, "INFO", "mended"),
]
AT_4_NS = 1_795_838_404_500_000_000


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"level": pb.LOG_LEVEL_DEBUG}, (0, 1, 2, 3, 4, 5)),
        ({"level": pb.LOG_LEVEL_INFO}, (1, 2, 3, 4, 5)),
        ({"level": pb.LOG_LEVEL_WARNING}, (2, 3, 4)),
        ({"level": pb.LOG_LEVEL_ERROR}, (3, 4)),
        ({"since_unix_ns": AT_4_NS}, (3, 4, 5)),
        ({"since_unix_ns": AT_4_NS + 1}, (4, 5)),
        ({"until_unix_ns": AT_4_NS}, (0, 1, 2, 3)),
        ({"until_unix_ns": AT_4_NS - 1}, (0, 1, 2)),
        ({"since_unix_ns": AT_4_NS, "level": pb.LOG_LEVEL_ERROR, "tail_lines": 1}, (4,)),
        ({"level": pb.LOG_LEVEL_INFO, "tail_lines": 3}, (3, 4, 5)),
        ({"level": pb.LOG_LEVEL_INFO, "tail_lines": 99}, (1, 2, 3, 4, 5)),
    ],
)
def test_level_time_and_number_choose_whole_records(
    tmp_path: Path, fields: dict[str, int], kept: tuple[int, ...]
) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(LINES))

    async def main() -> None:
        async with log_of(path) as log:
            assert [chunk.data for chunk in await told(log, **fields)] == [LINES[number] for number in kept]

    run(main)


def test_records_are_told_taken_apart(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(LINES))

    async def main() -> None:
        async with log_of(path) as log:
            (found,) = await told(log, records=True, tail_lines=3, until_unix_ns=AT_4_NS, level=pb.LOG_LEVEL_ERROR)
            assert (found.at_unix_ns, found.level, found.source) == (AT_4_NS, pb.LOG_LEVEL_ERROR, "capsuled.x")
            assert found.message == "broken\nbecause" and found.data == LINES[3]

    run(main)


def test_two_fields_alone_give_bytes_and_lines_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old\n" + b"".join(LINES))

    async def main() -> None:
        async with log_of(path) as log:
            (chunk,) = await told(log)
            assert chunk == pb.CapsuleLogChunk(data=b"old\n" + b"".join(LINES))
            # Lines, not records: the field's own meaning.
            (chunk,) = await told(log, tail_lines=3)
            assert chunk.data == b"".join(b"".join(LINES).splitlines(keepends=True)[-3:])

    run(main)


@pytest.mark.parametrize("lines", [100, 10_000])
def test_the_last_lines_of_a_log_whose_front_is_gone_are_whole(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "own.log"
    path.write_bytes(b"".join(b"2026-12-01T00:00:00 INFO x: line %05d\n" % number for number in range(1_000)))
    assert cut_front(path, 6_000)
    reader = PlainReader(path, lines)
    tail = b"".join(reader.pieces())
    reader.close()
    assert tail.startswith(b"2026-12-01T") and tail.endswith(b"line 00999\n") and tail.count(b"\n") <= lines


def test_following_goes_on_with_what_is_bad_enough(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(LINES))

    async def main() -> None:
        async with log_of(path) as log:
            request = pb.CapsuleLogsRequest(follow=True, level=pb.LOG_LEVEL_ERROR, tail_lines=1)
            chunks = log.stream(request)
            assert (await anext(chunks)).data == LINES[4]
            with path.open("ab") as file:
                file.write(line(7, "INFO", "fine") + line(8, "ERROR", "again"))
                file.flush()
                assert (await anext(chunks)).data == line(8, "ERROR", "again")
                file.write(line(9, "ERROR", "and again"))
                file.flush()
                assert (await anext(chunks)).data == line(9, "ERROR", "and again")
            await chunks.aclose()

    run(main)


def test_a_long_log_holds_up_nobody_for_long(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(LINES) * (8 * READ_BYTES // sum(map(len, LINES))))

    async def main() -> None:
        async with log_of(path) as log, turns() as had:
            assert not await told(log, until_unix_ns=1)
            assert had() >= 8

    run(main)


def test_earlier_boots_are_told_by_their_number_and_no_further_back(tmp_path: Path) -> None:
    present = tmp_path / f"{9:08d}-0000-0000-0000-000000000000.log"
    present.write_bytes(LINES[0])
    for number in (1, 2):
        path = tmp_path / f"{number:08d}-0000-0000-0000-000000000000.log"
        path.write_bytes(line(number, "INFO", f"boot {number}"))
        os.utime(path, (number, number))
    (tmp_path / "containerd.log").write_text("other\n")

    async def main() -> None:
        async with log_of(present) as log:
            assert (await told(log, boots_back=1))[0].data == line(2, "INFO", "boot 2")
            assert (await told(log, boots_back=2, follow=True, tail_lines=5))[0].data == line(1, "INFO", "boot 1")
            assert not await told(log, boots_back=1, level=pb.LOG_LEVEL_ERROR)
            with pytest.raises(Refused, match="3 boots ago is not kept: 2 before this one") as caught:
                await told(log, boots_back=3)
            assert caught.value.refusal.fields == ("boots_back",)

    run(main)
