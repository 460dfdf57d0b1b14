"""The house that is fuzzed, a process of its own: doors, servicers, engine and a journal on the disk; runner on twins.

`python -m tests.fuzz.house STATE` prints a line of JSON with where it serves, and for each line on standard input one
with what it holds; it ends with the input.
"""

import asyncio
import ctypes
import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

from capsuled.grpc_core import settle
from capsuled.observer import Observer
from capsuled.secrets import Unsealer
from capsuled.services.images import ImageService  # noqa: F401 - imports what the servers need before any is measured
from effects.actions import Actions
from effects.images.actions import ImageActions
from effects.network.twin import Cables, TwinNetwork
from effects.runner import Runner
from effects.runs.protocol import RunDriver
from effects.secrets.twin import Shelf, TwinSecretFiles
from journal.specs import Kind
from tests.support.house import Standing

_libc = ctypes.CDLL(None)


class Acting(Standing):
    """What is declared is also done, by twins: so that deletes end and phases change."""

    async def act(self, group: asyncio.TaskGroup) -> None:
        """Until cancelled."""
        house = self.house
        runs: dict[Kind, RunDriver] = {"container": self.containers}
        observer = Observer(house.engine, runs, self.clock, frozen=False)
        async with asyncio.TaskGroup() as inner:
            inner.create_task(observer.run())
            await observer.synced.wait()
            images = ImageActions(house.engine, house.images, house.cache.pulls)
            network = TwinNetwork(Cables(), _at_once)
            unsealer, secrets = Unsealer(house.vault), TwinSecretFiles(Shelf(), _at_once)
            actions = Actions(house.engine, runs, network, house.volumes, secrets, images, unsealer, self.clock)
            runner = Runner(house.engine, actions, self.clock, group)
            observer.acting_on = runner.acting_on
            house.engine.on_change(runner.wake)
            runner.open()


async def _at_once(point: str) -> None:
    pass


class _Mallinfo(ctypes.Structure):
    """struct mallinfo2 of <malloc.h>."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keep",
        )
    ]


_libc.mallinfo2.restype = _Mallinfo


def held(house: Standing) -> dict[str, Any]:
    """What the process holds once all that is garbage is gone."""
    gc.collect()
    _libc.malloc_trim(0)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    machine = house.house.engine.machine
    native = _libc.mallinfo2()
    return {
        "native_bytes": native.uordblks + native.hblkhd,
        "python_blocks": sys.getallocatedblocks(),
        "anonymous_bytes": int(status["RssAnon"].split()[0]) * 1024,
        "handles": len(os.listdir("/proc/self/fd")),
        "threads": int(status["Threads"]),
        "entries": machine.seq,
        "objects": len(machine.workloads) + len(machine.volumes) + len(machine.operators),
    }


def main() -> None:
    """Serve until the input ends."""
    settle()
    house = Acting(Path(sys.argv[1]))
    house.start()
    socket = house.layout.socket
    print(json.dumps({"pid": os.getpid(), "address": house.address, "socket": str(socket)}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(held(house)), flush=True)
    house.stop()


if __name__ == "__main__":
    main()
