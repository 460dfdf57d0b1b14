"""The serial consoles of microVMs: each run's is a plain file that the monitor appends to, held to a bound of its own.

What a guest writes there is anybody's: it is told without what a terminal would obey. There is no index: lines have no
times, and are of one stream.
"""

import asyncio
import codecs
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Final

from capsule.v1 import workload_pb2 as pb
from capsuled.aside import Aside
from capsuled.engine import Engine
from capsuled.logs.files import SERIAL_SUFFIX, path_of, runs_of
from capsuled.logs.growth import Growth
from capsuled.logs.plain import PlainLog, PlainReader
from capsuled.logs.recorder import writes
from capsuled.logs.stream import chosen_runs, lives, newest_run
from capsuled.rpc import refuse
from projections.state import Workload

log = logging.getLogger(__name__)

MAX_BYTES: Final = 1 << 20
"""Of each run's console, beside what its logs may take."""
PIECE_BYTES: Final = 16 << 10
"""So much is made fit to be shown at a time. A guest can have each byte of it spelt out, which takes some milliseconds,
in which Python does nothing else."""
_OBEYED: Final = (
    *range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)
)  # fmt: skip
"""What moves a cursor, changes a colour, or turns the direction of writing."""
_SHOWN: Final = {
    **{code: f"\\x{code:02x}" for code in _OBEYED},
    **{0xDC00 + byte: f"\\x{byte:02x}" for byte in range(0x80, 0x100)},  # what is no UTF-8, as it was decoded
    ord("\n"): "\n",
    ord("\t"): "\t",
    ord("\r"): None,
}


class Console:
    """A guest's bytes as text that can be shown; what one piece breaks off, the next completes."""

    def __init__(self) -> None:
        # Of all that says which bytes were none, this alone costs nothing: a guest chooses what it writes.
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")

    def seemly(self, data: bytes) -> bytes:
        """The piece: lines end by newlines, and what a terminal would obey is spelt out."""
        return self._decoder.decode(data).translate(_SHOWN).encode()


class Serials:
    """`directory` holds a directory for each workload."""

    def __init__(self, engine: Engine, directory: Path, growth: Growth, group: asyncio.TaskGroup) -> None:
        self._engine = engine
        self._directory = directory
        self._growth = growth
        self._group = group
        self._kept: dict[str, tuple[int, int, PlainLog]] = {}
        self._followers: dict[str, set[asyncio.Event]] = {}
        self._closed = False
        self._aside = Aside()

    def open(self) -> None:
        """Hold those of what runs to their bound."""
        for name in sorted(self._engine.machine.workloads):
            self._keep(name)
        self._engine.on_change(self._wake)

    def close(self) -> None:
        """Watch none any more."""
        self._closed = True
        for _, _, plain in self._kept.values():
            plain.close()
        self._kept.clear()

    def _wake(self, name: str, seq: int) -> None:
        if not self._closed:
            self._keep(name)
        self._wake_followers(name)

    def _keep(self, name: str) -> None:
        try:
            self._update(name)
        except OSError as error:  # an entry was made all the same, and the daemon has begun
            log.warning("the console of %s is not kept in order: %s", name, error)

    def _update(self, name: str) -> None:
        workload = self._engine.machine.workloads.get(name)
        run = None if workload is None or workload.kind != "microvm" else workload.run
        kept = self._kept.get(name)
        if kept is not None:
            uid, number, plain = kept
            if workload is not None and run is not None and (workload.uid, run.number) == (uid, number) and writes(run):
                return
            del self._kept[name]
            plain.close()
        if workload is None or run is None or not writes(run):
            return
        path = path_of(self._directory / name, workload.uid, run.number, SERIAL_SUFFIX)
        if path.exists():  # its start may not have come so far
            plain = PlainLog(self._growth, self._group, path, MAX_BYTES, partial(self._wake_followers, name))
            self._kept[name] = workload.uid, run.number, plain

    def _wake_followers(self, name: str) -> None:
        for woken in self._followers.get(name, ()):
            woken.set()

    async def stream(
        self, workload: Workload, request: pb.WorkloadLogsRequest
    ) -> AsyncGenerator[pb.WorkloadLogChunk, None]:
        """What was asked for, and on over the runs that follow. Raises Refused for a run that has no console."""
        _check(workload, request)
        name = workload.name
        (run,) = chosen_runs(workload, request, self._runs(workload))
        follows = request.follow and run == newest_run(workload)
        woken = asyncio.Event()
        self._followers.setdefault(name, set()).add(woken)
        try:
            while True:
                async with aclosing(self._of_run(workload, run, request.tail_lines, follows, woken)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                while follows and not (later := [one for one in self._runs(workload) if one > run]):
                    if not self._goes_on(workload):
                        await self._engine.durable()
                        return
                    await woken.wait()
                    woken.clear()
                if not follows:
                    return
                run = later[0]
        finally:
            self._followers[name].discard(woken)
            if not self._followers[name]:
                del self._followers[name]

    async def _of_run(
        self, workload: Workload, run: int, tail_lines: int, follows: bool, woken: asyncio.Event
    ) -> AsyncGenerator[pb.WorkloadLogChunk, None]:
        """One run's console; to its end, if it is followed."""
        path = path_of(self._directory / workload.name, workload.uid, run, SERIAL_SUFFIX)
        reader: PlainReader | None = None
        console = Console()
        try:
            while True:
                woken.clear()
                # The state is read before the file: what a run wrote before its end is in it by then.
                now = self._engine.workload(workload.name)
                over = not follows or not self._goes_on(workload) or newest_run(now) > run
                if reader is None and path.exists():
                    reader = PlainReader(path, tail_lines)
                if reader is not None:
                    shown = map(console.seemly, reader.pieces(PIECE_BYTES))
                    while (data := await self._aside.to_its_end(partial(next, shown, None))) is not None:
                        yield pb.WorkloadLogChunk(data=data, run=run)
                if over:
                    return
                await woken.wait()
        finally:
            if reader is not None:
                reader.close()

    def _goes_on(self, workload: Workload) -> bool:
        now = self._engine.workload(workload.name)
        return now is not None and now.uid == workload.uid and lives(now)

    def _runs(self, workload: Workload) -> list[int]:
        return runs_of(self._directory / workload.name, workload.uid, (SERIAL_SUFFIX,))


def _check(workload: Workload, request: pb.WorkloadLogsRequest) -> None:
    if workload.kind != "microvm":
        refuse(
            "INVALID_ARGUMENT", "NO_SERIAL", f"{workload.name} is a container: only a microVM has a console", "source"
        )
    timed = ("since_unix_ns", "until_unix_ns", "timestamps")
    said = next((name for name in timed if getattr(request, name)), "")
    if said:
        refuse("INVALID_ARGUMENT", "NO_TIMES", "nobody notes when a console's lines were written: ask for a tail", said)
    if request.stream:
        refuse("INVALID_ARGUMENT", "NO_STREAM", "a console is one stream", "stream")
