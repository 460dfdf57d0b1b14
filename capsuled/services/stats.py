"""StatsService: what workloads use, once or again and again."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from capsule.v1 import stats_pb2 as pb
from capsule.v1.stats_pb2_grpc import StatsServiceServicer
from capsuled.engine import Engine
from capsuled.rpc import Refused, refuse
from capsuled.sampler import Sampler
from capsuled.wire_stats import sample_message
from journal.clock import Clock
from projections.refusals import no_workload

WINDOW_MOST_MS = 5_000
INTERVAL_MS, INTERVAL_LEAST_MS, INTERVAL_MOST_MS = 2_000, 500, 60_000
FIRST_MS = 500
"""A watch begins with a window of this length, so that its first sample has rates, too."""


class StatsService(StatsServiceServicer):
    """See proto/capsule/v1/stats.proto."""

    def __init__(self, engine: Engine, sampler: Sampler, clock: Clock) -> None:
        self._engine = engine
        self._sampler = sampler
        self._clock = clock

    async def Sample(self, request: pb.StatsSampleRequest, context: Any) -> pb.StatsSample:
        """Now, after the window that was asked for."""
        if request.window_ms > WINDOW_MOST_MS:
            refuse(
                "INVALID_ARGUMENT",
                "BAD_WINDOW",
                f"a window of {request.window_ms} ms is too long, {WINDOW_MOST_MS} at most: `stats --watch` goes on",
                "window_ms",
            )
        names = await self._named(request.names)
        before = None
        if request.window_ms:
            before = await self._sampler.reading()
            await self._clock.sleep(request.window_ms / 1_000)
        message = sample_message(await self._sampler.reading(), before, names)
        if request.layers:
            for usage in message.workloads:
                workload = self._engine.workload(usage.name)
                size = None if workload is None else await self._sampler.layer_bytes(workload)
                if size is not None:
                    usage.layer_bytes = size
        return message

    async def Watch(self, request: pb.StatsWatchRequest, context: Any) -> AsyncIterator[pb.StatsSample]:
        """Each with rates since the one before, until the client goes."""
        interval_ms = request.interval_ms or INTERVAL_MS
        if not INTERVAL_LEAST_MS <= interval_ms <= INTERVAL_MOST_MS:
            refuse(
                "INVALID_ARGUMENT",
                "BAD_INTERVAL",
                f"an interval of {interval_ms} ms cannot be had: {INTERVAL_LEAST_MS} to {INTERVAL_MOST_MS} ms",
                "interval_ms",
            )
        names = await self._named(request.names)
        # Who watches at the same pace gets the same looks: one that is half an interval old is new enough.
        young_ns = interval_ms * 1_000_000 // 2
        before = await self._sampler.reading(young_ns)
        await self._clock.sleep(min(FIRST_MS, interval_ms) / 1_000)
        young_ns = min(young_ns, FIRST_MS * 1_000_000 // 2)
        while True:
            reading = await self._sampler.reading(young_ns)
            await self._engine.durable()  # of what runs, which it looked at
            yield sample_message(reading, before, names)
            before = reading
            await self._clock.sleep(interval_ms / 1_000)

    async def _named(self, names: Sequence[str]) -> tuple[str, ...]:
        """Each once, by name. Raises Refused for one that does not exist."""
        await self._engine.durable()
        known = self._engine.machine.workloads
        for name in names:
            if name not in known:
                raise Refused(no_workload(name, known))
        return tuple(sorted(set(names)))
