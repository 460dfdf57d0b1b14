"""Looks at what runs use: shared by all who ask, made for nobody, and rates only between two that can be compared."""

import asyncio
from typing import Any

import msgspec
import pytest

from capsule.v1 import stats_pb2 as pb
from capsuled.engine import Engine
from capsuled.rpc import Refused
from capsuled.sampler import MachineUse, Reading, Sampler, running
from capsuled.services.stats import INTERVAL_LEAST_MS, INTERVAL_MOST_MS, WINDOW_MOST_MS, StatsService
from capsuled.wire_stats import sample_message
from effects.stats.protocol import Cpu, Disk, Measured, Memory, Pids, Traffic, Usage
from journal.specs import ContainerSpec, ImagePin
from projections.phases import RunPhase
from projections.state import Machine, Run, Workload
from tests.support.clock import HandClock

SECOND = 1_000_000_000
PIN = ImagePin("demo:1", "sha256:1", "sha256:1")


def workload(name: str, phase: RunPhase | None = RunPhase.RUNNING, network: str = "none") -> Workload:
    spec = ContainerSpec(image=PIN, network=network)  # type: ignore[arg-type]
    run = None if phase is None else Run(1, 5, phase)
    return Workload(name, 5, "container", spec, 5, 5, 0, run=run)


def machine(*workloads: Workload) -> Machine:
    return Machine(workloads={one.name: one for one in workloads})


class Counting:
    """A meter whose runs use a core each; it counts the looks."""

    def __init__(self, clock: HandClock) -> None:
        self.looks = 0
        self.seen: list[str] = []
        self.walks: list[str] = []
        self.at_once = self.at_once_most = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._clock = clock

    async def measure(self, runs: tuple[Measured, ...]) -> tuple[Usage, ...]:
        self.looks += 1
        self.seen = [run.name for run in runs]
        await self.gate.wait()
        now = self._clock.mono_ns()
        return tuple(Usage(run.name, run.uid, run.run, now, cpu=Cpu(now)) for run in runs)

    async def layer_bytes(self, name: str, uid: int, revision: int) -> int | None:
        self.walks.append(name)
        self.at_once += 1
        self.at_once_most = max(self.at_once_most, self.at_once)
        await self.gate.wait()
        self.at_once -= 1
        return 4096 if name == "web" else None


class Silent:
    """A journal that has everything."""

    async def durable(self, seq: int) -> None:
        pass


def built(*workloads: Workload) -> tuple[HandClock, Counting, Sampler, StatsService]:
    clock = HandClock()
    engine = Engine(Silent(), machine(*workloads), clock, frozenset())  # type: ignore[arg-type]
    meter = Counting(clock)
    sampler = Sampler(engine, {"container": meter}, clock)
    return clock, meter, sampler, StatsService(engine, sampler, clock)


def test_what_runs_or_is_about_to_end_is_looked_at_and_nothing_else() -> None:
    workloads = [workload(phase.value, phase, "bridge") for phase in RunPhase]
    found = running(machine(*workloads, workload("new", None)))
    assert found == (
        ("container", Measured("running", 5, 1, True)),
        ("container", Measured("stopping", 5, 1, True)),
    )


def test_a_run_of_the_spec_before_counts_on_its_own_network() -> None:
    before = Run(1, 4, RunPhase.RUNNING, spec=ContainerSpec(image=PIN, network="bridge"))
    ((_, found),) = running(machine(msgspec.structs.replace(workload("web", network="host"), run=before)))
    assert found.bridged


def test_each_kind_has_a_meter_of_its_own() -> None:
    async def main() -> None:
        clock = HandClock()
        web, vm = workload("web"), msgspec.structs.replace(workload("vm"), kind="microvm")
        engine = Engine(Silent(), machine(web, vm), clock, frozenset())  # type: ignore[arg-type]
        meters: dict[Any, Counting] = {"container": Counting(clock), "microvm": Counting(clock)}
        reading = await Sampler(engine, meters, clock).reading()
        assert list(reading.usages) == ["web", "vm"]
        assert [meter.seen for meter in meters.values()] == [["web"], ["vm"]]

    asyncio.run(main())


def test_who_asks_during_a_look_shares_the_next_one_with_all_others() -> None:
    async def main() -> None:
        clock, meter, sampler, _ = built(workload("web"))
        meter.gate.clear()
        first = asyncio.ensure_future(sampler.reading())
        await asyncio.sleep(0)
        clock.pass_time(0.001)
        others = [asyncio.ensure_future(sampler.reading()) for _ in range(20)]
        await asyncio.sleep(0)
        meter.gate.set()
        readings = await asyncio.gather(*others)
        assert meter.looks == 2 and all(one is readings[0] for one in readings) and (await first) is not readings[0]

    asyncio.run(main())


def test_a_look_that_is_young_enough_is_not_made_again() -> None:
    async def main() -> None:
        clock, meter, sampler, _ = built(workload("web"))
        first = await sampler.reading()
        clock.pass_time(1.0)
        assert await sampler.reading(young_ns=SECOND) is first
        clock.pass_time(0.1)
        assert await sampler.reading(young_ns=SECOND) is not first and meter.looks == 2

    asyncio.run(main())


def test_a_sample_has_rates_over_its_window_and_none_without_one() -> None:
    async def main() -> None:
        _, meter, _, service = built(workload("web"), workload("rests", RunPhase.EXITED))
        bare = await service.Sample(pb.StatsSampleRequest(), None)
        assert [one.name for one in bare.workloads] == ["web"] and meter.looks == 1
        assert not bare.workloads[0].cpu.HasField("percent") and not bare.machine.HasField("cpu_percent")
        whole = await service.Sample(pb.StatsSampleRequest(window_ms=250), None)
        assert whole.workloads[0].cpu.percent == pytest.approx(100.0)
        assert meter.looks == 2  # the clock stood still after the first: it is young enough to begin with

    asyncio.run(main())


def test_who_is_named_is_told_of_also_when_it_rests_and_layers_only_when_asked_for() -> None:
    async def main() -> None:
        _, _, _, service = built(workload("web"), workload("rests", RunPhase.EXITED))
        request = pb.StatsSampleRequest(names=["web", "rests", "web"], layers=True)
        found = (await service.Sample(request, None)).workloads
        assert [(one.name, one.measured) for one in found] == [("rests", False), ("web", True)]
        assert not found[0].HasField("layer_bytes") and found[1].layer_bytes == 4096
        assert not (await service.Sample(pb.StatsSampleRequest(), None)).workloads[0].HasField("layer_bytes")

    asyncio.run(main())


def test_many_who_ask_for_layers_at_once_cost_one_walk_of_each_one_at_a_time() -> None:
    async def main() -> None:
        names = [f"w{number}" for number in range(20)]
        _, meter, sampler, _ = built(*map(workload, names))
        meter.gate.clear()
        found = [asyncio.ensure_future(sampler.layer_bytes(workload(name))) for name in names for _ in range(10)]
        for _ in range(10):
            await asyncio.sleep(0)
        late = [asyncio.ensure_future(sampler.layer_bytes(workload("w0"))) for _ in range(10)]
        await asyncio.sleep(0)
        meter.gate.set()
        await asyncio.gather(*found, *late)
        assert sorted(meter.walks) == sorted([*names, "w0"]), "those who asked during a walk share the next"
        assert meter.at_once_most == 1

    asyncio.run(main())


async def refusal_of(call: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await call
    return caught.value


def test_what_cannot_be_had_is_refused_by_its_field() -> None:
    async def main() -> None:
        _, meter, _, service = built(workload("web"))
        cases = [
            (service.Sample(pb.StatsSampleRequest(window_ms=WINDOW_MOST_MS + 1), None), "BAD_WINDOW", "window_ms"),
            (service.Sample(pb.StatsSampleRequest(names=["wep"]), None), "WORKLOAD_NOT_FOUND", "name"),
            (anext(service.Watch(pb.StatsWatchRequest(names=["x"]), None)), "WORKLOAD_NOT_FOUND", "name"),
        ]
        for interval_ms in (INTERVAL_LEAST_MS - 1, INTERVAL_MOST_MS + 1):
            request = pb.StatsWatchRequest(interval_ms=interval_ms)
            cases.append((anext(service.Watch(request, None)), "BAD_INTERVAL", "interval_ms"))
        for call, reason, field in cases:
            refused = (await refusal_of(call)).refusal
            assert (refused.reason, refused.fields) == (reason, (field,))
        assert meter.looks == 0

    asyncio.run(main())


def test_a_watch_has_rates_from_its_first_sample_and_nobody_looks_when_it_is_over() -> None:
    async def main() -> None:
        clock, meter, _, service = built(workload("web"))
        watch = service.Watch(pb.StatsWatchRequest(interval_ms=1_000), None)
        begun = clock.mono_ns()
        samples = [await anext(watch) for _ in range(3)]
        assert all(one.workloads[0].cpu.percent == pytest.approx(100.0) for one in samples)
        assert clock.mono_ns() - begun == 2_500_000_000 and meter.looks == 4
        await watch.aclose()  # type: ignore[attr-defined]
        clock.pass_time(60.0)
        await asyncio.sleep(0.01)
        assert meter.looks == 4

    asyncio.run(main())


# --- rates ----------------------------------------------------------------------------------------------------------


def usage(at_s: float, cpu_s: float, sent: int, run: int = 1, uid: int = 5) -> Usage:
    return Usage(
        "web", uid, run, int(at_s * SECOND), Cpu(int(cpu_s * SECOND)), Memory(7, 5, 9), Pids(3, 4),
        Disk(sent, sent * 2, 1, 2), Traffic(sent, sent * 3, 4, 5, 6, 7),
    )  # fmt: skip


def reading(one: Usage) -> Reading:
    return Reading(1, one.at_ns, MachineUse(one.at_ns, 2, one.at_ns, 100, 40, 0.5), {"web": one})


def message(before: Usage, now: Usage) -> Any:
    return sample_message(reading(now), reading(before)).workloads[0]


def test_rates_are_by_the_second_of_the_time_between() -> None:
    found = message(usage(1, 1, 1_000), usage(3, 4, 2_000))
    assert found.cpu.percent == 150.0
    assert (found.disk.read_bytes_per_second, found.disk.written_bytes_per_second) == (500.0, 1_000.0)
    assert (found.network.received_bytes_per_second, found.network.sent_bytes_per_second) == (500.0, 1_500.0)
    assert (found.memory.working_set_bytes, found.memory.anonymous_bytes, found.memory.limit_bytes) == (7, 5, 9)
    assert (found.pids.current, found.pids.limit) == (3, 4)


@pytest.mark.parametrize(
    "before", [usage(1, 1, 1, run=2), usage(1, 1, 1, uid=6), usage(3, 1, 1), usage(1, 9, 9_000)],
    ids=["another run", "another workload", "the same moment", "a counter that went back"],
)  # fmt: skip
def test_what_cannot_be_compared_has_counters_and_no_rates(before: Usage) -> None:
    found = message(before, usage(3, 4, 2_000))
    assert found.cpu.total_ns == 4 * SECOND and not found.cpu.HasField("percent")
    assert not found.disk.HasField("read_bytes_per_second") and not found.network.HasField("sent_bytes_per_second")


def test_what_the_machine_does_not_count_is_absent_not_zero() -> None:
    found = message(Usage("web", 5, 1, 1), Usage("web", 5, 1, 2))
    assert found.measured and not any(found.HasField(one) for one in ("cpu", "memory", "pids", "disk", "network"))
