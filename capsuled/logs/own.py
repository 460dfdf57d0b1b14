"""The daemon's own log to clients: of this boot or of one before, all of it or what is bad or new enough."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path

from capsule.v1 import capsule_pb2 as pb
from capsuled.logs.plain import PlainLog, earlier_boots, whole
from capsuled.logs.records import Parser, Record
from capsuled.rpc import check_end, refuse

_LEVELS = {
    "": pb.LOG_LEVEL_UNSPECIFIED,
    "DEBUG": pb.LOG_LEVEL_DEBUG,
    "INFO": pb.LOG_LEVEL_INFO,
    "WARNING": pb.LOG_LEVEL_WARNING,
    "ERROR": pb.LOG_LEVEL_ERROR,
    "CRITICAL": pb.LOG_LEVEL_ERROR,
}
TAIL_MOST = 100_000
"""So many records are kept in memory for somebody who wants the last ones; the whole log is about as long."""


class OwnLog:
    """`present` is this boot's; those of earlier boots lie beside it."""

    def __init__(self, present: PlainLog) -> None:
        self._present = present

    async def stream(self, request: pb.CapsuleLogsRequest) -> AsyncGenerator[pb.CapsuleLogChunk, None]:
        """What was asked for. Raises Refused for a boot of which there is no log, for a level that is none, and for an
        end to what is followed."""
        if request.level not in pb.LogLevel.values():
            refuse("INVALID_ARGUMENT", "BAD_LEVEL", "the level is not one this release knows", "level")
        check_end(request, "until_unix_ns")
        asked = request.level or request.since_unix_ns or request.until_unix_ns or request.records
        path = self._path(request.boots_back)
        if not asked and path is None:
            async with aclosing(self._present.stream(request.follow, request.tail_lines)) as pieces:
                async for data in pieces:
                    if data:
                        yield pb.CapsuleLogChunk(data=data)
            return
        pieces = self._present.stream(request.follow) if path is None else whole(path)
        async with aclosing(pieces), aclosing(_records(pieces, request)) as records:
            async for record in records:
                yield _chunk(record) if request.records else pb.CapsuleLogChunk(data=record.data)

    def _path(self, boots_back: int) -> Path | None:
        if not boots_back:
            return None
        boots = earlier_boots(self._present.path)
        if boots_back > len(boots):
            kept = f"{len(boots)} before this one" if boots else "none before this one"
            ago = f"{boots_back} boot{'' if boots_back == 1 else 's'} ago"
            refuse("NOT_FOUND", "NO_SUCH_BOOT", f"the log of {ago} is not kept: {kept}", "boots_back")
        return boots[boots_back - 1]


async def _records(pieces: AsyncIterator[bytes], request: pb.CapsuleLogsRequest) -> AsyncGenerator[Record, None]:
    """Those that were asked for: of what is there the last ones, and then what comes."""
    parser = Parser()
    last: deque[Record] | None = deque(maxlen=min(request.tail_lines, TAIL_MOST)) if request.tail_lines > 0 else None
    async for data in pieces:
        caught_up = not data
        for record in parser.feed(data):
            if not _wanted(record, request):
                continue
            if last is None:
                yield record
            else:
                last.append(record)
        if caught_up and last is not None:
            kept, last = last, None
            for record in kept:
                yield record
        await asyncio.sleep(0)  # a long log is not to hold up everybody else


def _wanted(record: Record, request: pb.CapsuleLogsRequest) -> bool:
    if request.level and _LEVELS[record.level] < request.level:
        return False
    if not request.since_unix_ns and not request.until_unix_ns:
        return True
    at_ns = record.at_ns
    return at_ns >= request.since_unix_ns and not 0 < request.until_unix_ns < at_ns


def _chunk(record: Record) -> pb.CapsuleLogChunk:
    return pb.CapsuleLogChunk(
        data=record.data,
        at_unix_ns=record.at_ns,
        level=_LEVELS[record.level],
        source=record.source.decode(errors="replace"),
        message=record.message,
    )
