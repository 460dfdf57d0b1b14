"""All logs of one capsule, wired: the workloads' and the daemon's own."""

import asyncio
from pathlib import Path

from capsuled.engine import Engine
from capsuled.logs.growth import Growth
from capsuled.logs.own import OwnLog
from capsuled.logs.plain import PlainLog, forget_boots
from capsuled.logs.recorder import Recorder
from capsuled.logs.serial import Serials
from capsuled.logs.stream import LogStreams
from journal.clock import Clock


class Logs:
    """`workloads` holds a directory for each workload; `own` is the daemon's log of this boot, with containerd's and
    those of earlier boots beside it."""

    def __init__(self, engine: Engine, workloads: Path, own: Path, clock: Clock, group: asyncio.TaskGroup) -> None:
        self._growth = Growth()
        self._recorder = Recorder(engine, workloads, self._growth, clock, group)
        self.streams = LogStreams(engine, self._recorder, workloads)
        self.serials = Serials(engine, workloads, self._growth, group)
        self._own = PlainLog(self._growth, group, own)
        self.own = OwnLog(self._own)
        self._containerd = PlainLog(self._growth, group, own.with_name("containerd.log"))
        forget_boots(own)
        self._recorder.open()
        self.serials.open()

    async def warnings(self) -> tuple[str, ...]:
        """What an operator should know of now."""
        return await self._growth.warnings()

    def close(self) -> None:
        """Note what came last, and let go."""
        self._recorder.close()
        self.serials.close()
        self._own.close()
        self._containerd.close()
        self._growth.close()
