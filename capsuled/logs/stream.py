"""Workloads' logs to clients: a run's, from where they ask, and on over the runs that follow.

A followed log ends once the workload neither runs nor is about to. A slow client holds up only itself: nothing is read
for it before it took what was read, and what it has not read when it falls out of the bound, it is told of.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path

from capsule.v1 import workload_pb2 as pb
from capsuled.engine import Engine
from capsuled.logs.files import runs_of
from capsuled.logs.index import ERR, OUT, STREAMS
from capsuled.logs.reading import Piece, RunReader
from capsuled.logs.recorder import Recorder, writes
from capsuled.rpc import refuse
from projections.phases import LIVE
from projections.state import Workload
from projections.status import Phase, status_of

INLINE_BYTES = 64 << 10
"""So little is read at once; more is read away from the loop, as a disk may take its time."""

_MS = 1_000_000
_STREAMS = {pb.LOG_STREAM_STDOUT: (OUT,), pb.LOG_STREAM_STDERR: (ERR,)}


class LogStreams:
    """`directory` holds a directory for each workload."""

    def __init__(self, engine: Engine, recorder: Recorder, directory: Path) -> None:
        self._engine = engine
        self._recorder = recorder
        self._directory = directory

    async def stream(
        self, workload: Workload, request: pb.WorkloadLogsRequest
    ) -> AsyncGenerator[pb.WorkloadLogChunk, None]:
        """What was asked for. Raises Refused for a run that has no log."""
        name, uid = workload.name, workload.uid
        runs = chosen_runs(workload, request, self._runs(workload))
        follows = request.follow and runs[-1] == newest_run(workload)
        with self._recorder.following(name) as woken:
            self._recorder.settle(name)
            readers: list[RunReader] = []
            loop = asyncio.get_running_loop()
            positioned = loop.run_in_executor(None, self._position, readers, workload, runs, request)
            try:
                await asyncio.shield(positioned)
                for earlier in readers[:-1]:
                    async with aclosing(self._chunks(earlier, workload, request.timestamps, final=True)) as chunks:
                        async for chunk in chunks:
                            yield chunk
                    earlier.close()
                while True:
                    woken.clear()
                    # The state is read before the files: what a run wrote before its end is in them by then.
                    reader, now = readers[-1], self._engine.workload(name)
                    goes_on = now is not None and now.uid == uid and lives(now)
                    over = not follows or not goes_on or newest_run(now) > reader.run
                    async with aclosing(self._chunks(reader, workload, request.timestamps, final=over)) as chunks:
                        async for chunk in chunks:
                            yield chunk
                    if not follows:
                        return
                    following = [number for number in self._runs(workload) if number > reader.run]
                    if over and following:
                        reader.close()
                        readers[-1] = self._reader(workload, following[0], request)
                    elif not goes_on:
                        await self._engine.durable()
                        return
                    else:
                        await woken.wait()
            finally:
                await asyncio.wait((positioned,))  # it opens files for us until then
                for reader in readers:
                    reader.close()

    def _reader(self, workload: Workload, run: int, request: pb.WorkloadLogsRequest) -> RunReader:
        streams = _STREAMS.get(request.stream, STREAMS)
        return RunReader(self._directory / workload.name, workload.uid, run, streams)

    def _position(
        self, readers: list[RunReader], workload: Workload, runs: list[int], request: pb.WorkloadLogsRequest
    ) -> None:
        """Fill in readers of those runs that have a part in what was asked for, in their order; always of the last.

        Only the last one's files stay open: as many as there are runs would be held by each client, however slow.
        """
        wanted = request.tail_lines
        for run in reversed(runs):
            reader = self._reader(workload, run, request)
            readers.insert(0, reader)
            if request.until_unix_ns:
                reader.until(request.until_unix_ns // _MS)
            if request.since_unix_ns:
                reader.since(-(-request.since_unix_ns // _MS), ended=run != runs[-1])
            if request.tail_lines > 0:
                wanted = reader.tail(wanted)
            if run != runs[-1]:
                reader.close()  # it opens them again when its turn comes
            if request.tail_lines > 0 and not wanted:
                return

    async def _chunks(
        self, reader: RunReader, workload: Workload, timed: bool, final: bool
    ) -> AsyncGenerator[pb.WorkloadLogChunk, None]:
        """What a reader has now."""
        pieces = reader.pieces(timed=timed, final=final, now_ms=self._recorder.now_ms())
        if reader.unread() <= INLINE_BYTES:
            for piece in pieces:
                yield _chunk(piece, reader.run, workload)
            return
        # One piece is read while the one before it is on its way; no more, however slow the client.
        ahead = _apart(pieces)
        try:
            while (found := await asyncio.shield(ahead)) is not None:
                ahead = _apart(pieces)
                yield _chunk(found, reader.run, workload)
        finally:
            await asyncio.wait((ahead,))  # it reads from files that are closed next

    def _runs(self, workload: Workload) -> list[int]:
        return runs_of(self._directory / workload.name, workload.uid)


def chosen_runs(workload: Workload, request: pb.WorkloadLogsRequest, runs: list[int]) -> list[int]:
    """The runs that are meant, of those that have a log: one, or, where a time is given, all up to the newest: what was
    seen until then may be of a run before. Raises Refused for a run that has none."""
    name, newest = workload.name, newest_run(workload)
    run = request.run or newest
    if request.previous:
        run = max((number for number in runs if number < run), default=0)
        if not run:
            refuse("NOT_FOUND", "NO_PREVIOUS_LOG", f"no log of a run before that of {name} is kept", "previous")
    elif request.run and run not in runs and run != newest:
        kept = f"kept are {_ranges(runs)}" if runs else "none is kept"
        refuse("NOT_FOUND", "NO_SUCH_LOG", f"there is no log of run {run} of {name}: {kept}", "run")
    if (request.since_unix_ns or request.until_unix_ns) and not (request.run or request.previous):
        return [*(number for number in runs if number < run), run]
    return [run]


def _apart(pieces: Iterator[Piece]) -> "asyncio.Future[Piece | None]":
    return asyncio.get_running_loop().run_in_executor(None, next, pieces, None)


def newest_run(workload: Workload | None) -> int:
    """The newest run's number; 0 before there is one."""
    return 0 if workload is None or workload.run is None else workload.run.number


def lives(workload: Workload | None) -> bool:
    """Whether a run writes, or one is to come."""
    if workload is None:
        return False
    ending = workload.run is not None and workload.run.phase not in LIVE and writes(workload.run)
    return ending or status_of(workload).phase in (Phase.RUNNING, Phase.PENDING)


def _chunk(piece: Piece, run: int, workload: Workload) -> pb.WorkloadLogChunk:
    data = piece.data
    if piece.dropped:
        word = "stderr" if piece.stream == ERR else "stdout"
        said = f"older {word} are gone: logs.maxSize is {workload.spec.log_max_bytes >> 10} KiB"
        if piece.whole:
            said = f"{word} are gone: the log of run {run} is not kept any more"
        data = f"[capsule] {piece.dropped} bytes of {said}\n".encode()
    return pb.WorkloadLogChunk(
        data=data,
        stderr=piece.stream == ERR,
        at_unix_ns=piece.at_ms * _MS,
        late=piece.late,
        run=run,
        dropped_bytes=piece.dropped,
    )


def _ranges(runs: list[int]) -> str:
    """`1, 4-9`."""
    parts: list[list[int]] = []
    for run in runs:
        if parts and run == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], run]
        else:
            parts.append([run])
    return ", ".join("-".join(str(run) for run in part) for part in parts)
