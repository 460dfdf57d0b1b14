"""Workload logs to clients: the files as they are, and as they grow, woken by inotify and by the state; never polling.

Standard output and standard error are files of their own, one pair a run. A followed log goes on with the next run and
ends once the workload neither runs nor is about to.
"""

from collections.abc import AsyncIterator
from pathlib import Path

from capsule.v1 import workload_pb2 as pb
from capsuled.engine import Engine
from capsuled.tail import TailedFile, grows
from projections.state import Workload
from projections.status import Phase, status_of


class LogStreams:
    """`directory` holds a directory for each workload: `<uid>.<run>.out` and `.err`."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self._engine = engine
        self._directory = directory

    async def stream(
        self, workload: Workload, follow: bool, tail_lines: int, only: int
    ) -> AsyncIterator[pb.WorkloadLogChunk]:
        """The newest run's log, its last `tail_lines` lines of each stream (0: all), and what follows."""
        name, uid = workload.name, workload.uid
        directory = self._directory / name
        number = 0 if workload.run is None else workload.run.number
        files = [
            TailedFile(
                directory / f"{uid}.{number}{suffix}",
            )
            for suffix in _suffixes(only)
        ]
        try:
            for file in files:
                file.seek_tail(tail_lines)
            if not follow:
                for file in files:
                    while data := file.read():
                        yield _chunk(file, data)
                return
            async for _ in grows(directory, self._engine.changes()):
                # The state is read before the files: what a run wrote before its end is in them by then.
                now = self._engine.machine.workloads.get(name)
                current = 0 if now is None or now.uid != uid or now.run is None else now.run.number
                for file in files:
                    while data := file.read():
                        yield _chunk(file, data)
                if current > number:
                    number = current
                    for file in files:
                        file.reopen(directory / f"{uid}.{number}{file.path.suffix}")
                        while data := file.read():
                            yield _chunk(file, data)
                if now is None or now.uid != uid or status_of(now).phase not in (Phase.RUNNING, Phase.PENDING):
                    return
        finally:
            for file in files:
                file.close()


def _suffixes(only: int) -> tuple[str, ...]:
    match only:
        case pb.LOG_STREAM_STDOUT:
            return (".out",)
        case pb.LOG_STREAM_STDERR:
            return (".err",)
        case _:
            return (".out", ".err")


def _chunk(file: TailedFile, data: bytes) -> pb.WorkloadLogChunk:
    return pb.WorkloadLogChunk(data=data, stderr=file.path.suffix == ".err")
