"""The contract of a meter, on the twin and on this machine's control groups: what is used, by whom, and of whom nothing
is said."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from capsuled.abilities import container_host
from effects.network.protocol import Link
from effects.network.twin import Cables, TwinNetwork
from effects.runs.protocol import RunDriver, RunSpec
from effects.runs.twin import TwinContainers, World
from effects.stats.machine_meter import MachineMeter
from effects.stats.protocol import Disk, Measured, Memory, Meter, Traffic, Usage
from effects.stats.twin import Load, TwinMeter
from journal.specs import Resources
from tests.support.runtime import chunks, runtime
from tools.demo_image import archive

DIGEST = "sha256:" + "1" * 64
MIB = 1 << 20
BUSY, FULL, QUIET = Measured("busy", 7, 1), Measured("full", 8, 1), Measured("quiet", 9, 1, bridged=True)
SCRIPTS = {
    "busy": "while :; do :; done",
    "full": f'x=$(head -c {24 * MIB} /dev/zero | tr "\\0" x); sleep 4711 & sleep 4711 & wait',
    "quiet": f"head -c {3 * MIB} /dev/zero > /written; exec sleep 4711",
}
LIMITS = Resources(memory_bytes=200 * MIB, pids=50)
TRAFFIC = Traffic(2_000, 1_000, 20, 10, 2, 1)
NET_DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 4711 1 0 0 0 0 0 0 4711 1 0 0 0 0 0 0
 quiet:    1000      10    0    1    0     0          0         0     2000      20    0    2    0     0       0          0
"""  # fmt: skip


class Subject:
    """A meter, and three runs: one works, one holds memory, one has written and has traffic."""

    def __init__(self, meter: Meter, containers: RunDriver, passes: Callable[[float], Awaitable[None]]) -> None:
        self.meter = meter
        self.containers = containers
        self.passes = passes

    async def of(self, run: Measured) -> Usage:
        (found,) = await self.meter.measure((run,))
        return found

    async def until(self, condition: Callable[[Usage], object], run: Measured) -> Usage:
        """The programs take a moment to come to what they do."""
        while not condition(found := await self.of(run)):
            await self.passes(0.1)
        return found


def runs(image: str) -> list[RunSpec]:
    return [
        RunSpec(one.name, one.uid, one.uid, 1, image, command=("sh", "-c", SCRIPTS[one.name]), resources=LIMITS)
        for one in (BUSY, FULL, QUIET)
    ]


@asynccontextmanager
async def twin() -> AsyncIterator[Subject]:
    world, cables = World({DIGEST}), Cables()
    now = [0]
    world.now_ns = lambda: now[0]

    async def step(point: str) -> None:
        await asyncio.sleep(0)

    async def passes(seconds: float) -> None:
        now[0] += int(seconds * 1e9)

    containers, network = TwinContainers(world, step), TwinNetwork(cables, step)
    for run in runs(DIGEST):
        await containers.ensure_running(msgspec.structs.replace(run, command=("serve",)))
    await network.ensure(())
    await network.attach(Link("quiet", 9, "172.20.254.2"))
    meter = TwinMeter(world, cables, step)
    meter.loads = {
        ("busy", 7, 1): Load(cores=1.0),
        ("full", 8, 1): Load(memory=Memory(25 * MIB, 25 * MIB, LIMITS.memory_bytes), processes=3),
        ("quiet", 9, 1): Load(disk=Disk(0, 3 * MIB, 0, 3), traffic=TRAFFIC, layer_bytes=3 * MIB),
    }
    yield Subject(meter, containers, passes)


@asynccontextmanager
async def machine() -> AsyncIterator[Subject]:
    async with runtime() as made:
        (image,) = await made.images.import_archive(chunks(archive("demo:1")))
        for run in runs(image.platform_digest):
            await made.containers.ensure_running(run)
        dev = made.directory / "net-dev"
        dev.write_text(NET_DEV)
        meter = MachineMeter(made.connection, container_host(made.cgroup), lambda name, uid: name, dev=dev)
        yield Subject(meter, made.containers, asyncio.sleep)


BOTH = pytest.mark.parametrize(
    "subject", [twin, pytest.param(machine, marks=pytest.mark.real)], ids=["twin", "machine"]
)


def run_suite(subject: Any, suite: Callable[[Subject], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), subject() as made:
            await suite(made)

    asyncio.run(main())


@BOTH
def test_who_works_is_told_from_who_waits(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        begun = await made.of(BUSY), await made.of(QUIET)

        async def used() -> tuple[float, float]:
            """Of a core, by both, since the beginning."""
            now = await made.of(BUSY), await made.of(QUIET)
            seconds = [(late.at_ns - early.at_ns) / 1e9 for early, late in zip(begun, now, strict=True)]
            cpu = [
                (late.cpu.total_ns - early.cpu.total_ns) / 1e9
                for early, late in zip(begun, now, strict=True)
                if late.cpu and early.cpu
            ]
            assert min(seconds) > 0 and len(cpu) == 2
            return cpu[0] / seconds[0], cpu[1] / seconds[1]

        await made.passes(2.0)
        busy, quiet = await used()
        # On a machine that is full a loop gets less than a core, on none more.
        assert 0.02 < busy < 1.1 and quiet < busy / 2

    run_suite(subject, suite)


@BOTH
def test_memory_and_processes_are_counted_beside_their_limits(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        full = await made.until(lambda one: one.pids is not None and one.pids.current == 3, FULL)
        assert full.memory is not None and full.pids is not None
        assert 24 * MIB <= full.memory.anonymous_bytes <= full.memory.working_set_bytes <= 150 * MIB
        assert (full.memory.limit_bytes, full.pids.limit) == (LIMITS.memory_bytes, LIMITS.pids)
        quiet = await made.of(QUIET)
        assert quiet.memory is not None and quiet.memory.working_set_bytes < 16 * MIB

    run_suite(subject, suite)


@BOTH
def test_traffic_is_of_the_workloads_own_link_as_it_sees_it(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        assert (await made.of(QUIET)).traffic == TRAFFIC
        assert (await made.of(BUSY)).traffic is None
        assert (await made.of(Measured("quiet", 9, 1))).traffic is None

    run_suite(subject, suite)


@BOTH
def test_a_writable_layer_has_the_size_of_what_was_written(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        async def written() -> int:
            size = await made.meter.layer_bytes("quiet", 9, 9)
            assert size is not None
            return size

        while await written() < 3 * MIB:
            await made.passes(0.1)
        assert await written() < 4 * MIB
        assert await made.meter.layer_bytes("quiet", 9, 10) is None
        assert await made.meter.layer_bytes("nobody", 1, 1) is None

    run_suite(subject, suite)


@BOTH
def test_of_what_has_ended_or_never_was_nothing_is_said_and_the_rest_keeps_its_order(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        strangers = (Measured("busy", 8, 1), Measured("busy", 7, 2), Measured("nobody", 1, 1))
        found = await made.meter.measure((QUIET, *strangers, BUSY))
        assert [(one.name, one.uid, one.run) for one in found] == [("quiet", 9, 1), ("busy", 7, 1)]
        assert await made.meter.measure(()) == ()
        await made.containers.stop("busy", 7, 1, 0)
        assert await made.meter.measure((BUSY,)) == ()

    run_suite(subject, suite)
