"""What a scrape tells, read by the parser of the format's own library, and what it never tells."""

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from capsuled.front import head_of
from capsuled.journal_room import room_of
from capsuled.metrics.exposition import page
from capsuled.metrics.facts import Facts, Gatherer
from capsuled.sampler import MachineUse, Reading
from effects.errors import RuntimeUnavailable
from effects.stats.protocol import Cpu, Disk, Memory, Pids, Traffic, Usage
from effects.volumes.twin import Storage, TwinVolumes
from journal.events import EffectFailed, VolumeApplied, VolumeMade, VolumeMounted
from journal.release import RELEASE
from journal.space import Room
from journal.specs import ContainerSpec, ImagePin, Resources
from projections.phases import RunPhase
from projections.state import CachedDigest, Machine, Operator, Run, Snapshot, Volume, Workload
from projections.storage import Fill
from tests.support.house import Standing, standing

SECOND = 1_000_000_000
WEIRD = 'registry.test/a"b\\c\nd:1'


def workload(name: str, run: Run | None, restarts: int = 0, image: str = "demo:1", **resources: int) -> Workload:
    spec = ContainerSpec(
        image=ImagePin(image, "sha256:1", "sha256:2"), network="bridge", resources=Resources(**resources)
    )
    return Workload(name, 5, "container", spec, 5, 5, 0, run=run, restarts=restarts)


def facts() -> Facts:
    """A machine with something of everything."""
    machine = Machine(
        workloads={
            "web": workload("web", Run(2, 5, RunPhase.RUNNING, started_at=7 * SECOND, health="healthy"), 1, cpu_millis=500),
            "bad": workload("bad", Run(1, 5, RunPhase.EXITED, exit_code=3, oom_kills=2), image=WEIRD),
        },
        volumes={
            "data": Volume("data", 6, 1 << 30, 0, 6, 1 << 30, holder="web", holder_uid=5, snapshots=(Snapshot(9, "", 0, taken=True),)),
            "gone": Volume("gone", 7, 1 << 20, 0, 7, 1 << 20, lost=True),
        },
        cached={"sha256:1": CachedDigest("sha256:1", "sha256:2", 1_000, 3)},
        operators={"k": Operator("k", "00", "anna", "reader", "", 0, 1)},
    )  # fmt: skip
    usage = Usage(
        "web", 5, 2, 1, Cpu(1_500_000_000, 250_000_000), Memory(7_000, 5_000, 0), Pids(3, 4096), Disk(1, 2, 3, 4),
        Traffic(10, 20, 30, 40, 50, 60),
    )  # fmt: skip
    return Facts(
        machine=machine,
        short_id="capsule-1234",
        mode="hosted",
        condition="read-only",
        containerd="1.6.20",
        head_seq=42,
        journal_bytes=4_096,
        journal_room=Room(1_000, 700),
        disk_bytes=100,
        disk_left_bytes=30,
        entries={"call.accepted": 5},
        failures={("StartRun", "IMAGE_MISSING"): 2},
        reading=Reading(1, 1, MachineUse(1, 2, 3, 4, 5, 0.5), {"web": usage}),
        pool=Fill(1_000, 400),
        fills={"data": Fill(900, 90)},
        gathered={"usage": True, "volumes": False},
    )


def parsed(text: bytes) -> dict[str, Metric]:
    return {one.name: one for one in text_string_to_metric_families(text.decode())}


def values(families: dict[str, Metric], name: str) -> dict[tuple[str, ...], float]:
    """By the values of the labels, in the order of the labels' names."""
    family = families[name.removesuffix("_total")]
    assert {sample.name for sample in family.samples} == {name}
    return {tuple(sample.labels[one] for one in sorted(sample.labels)): sample.value for sample in family.samples}


# --- the format -------------------------------------------------------------------------------------------------------


def test_every_family_has_its_help_its_type_and_a_name_by_the_conventions() -> None:
    families = parsed(page(facts()))
    assert len(families) > 50
    for name, family in families.items():
        assert re.fullmatch(r"(capsule|process)_[a-z0-9_]+", name), name
        assert family.documentation.endswith("."), name
        assert family.type in ("counter", "gauge"), name
        assert not re.search(r"_(ns|ms|mib|kib|percent|millis)(_|$)", name), f"{name}: base units only"
        for sample in family.samples:
            assert sample.name == (f"{name}_total" if family.type == "counter" else name)
            assert family.type == "counter" or not name.endswith("_total")
            assert sample.value >= 0 and not set(sample.labels) - LABELS, sample


LABELS = {
    "capsule", "collector", "condition", "containerd", "effect", "image", "kind", "mode", "network", "phase", "reason",
    "role", "type", "uid", "version", "volume", "workload",
}  # fmt: skip


def test_no_series_stands_there_twice() -> None:
    lines = [line.rpartition(" ")[0] for line in page(facts()).decode().splitlines() if not line.startswith("#")]
    assert len(lines) == len(set(lines)) > 60


def test_what_a_label_holds_comes_through_whatever_is_in_it() -> None:
    images = {sample.labels["image"] for sample in parsed(page(facts()))["capsule_workload_info"].samples}
    assert images == {"demo:1", WEIRD}


# --- the figures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("capsule_build_info", {("capsule-1234", "1.6.20", "hosted", RELEASE): 1}),
        ("capsule_condition", {("ok",): 0, ("frozen",): 0, ("read-only",): 1, ("damaged",): 0}),
        ("capsule_collector_success", {("usage",): 1, ("volumes",): 0}),
        ("capsule_state_disk_size_bytes", {(): 100}),
        ("capsule_state_disk_available_bytes", {(): 30}),
        ("capsule_storage_size_bytes", {(): 1_000}),
        ("capsule_storage_used_bytes", {(): 400}),
        ("capsule_journal_entries_total", {(): 42}),
        ("capsule_journal_size_bytes", {(): 4_096}),
        ("capsule_journal_disk_size_bytes", {(): 1_000}),
        ("capsule_journal_disk_available_bytes", {(): 700}),
        ("capsule_entries_written_total", {("call.accepted",): 5}),
        ("capsule_effect_failures_total", {("StartRun", "IMAGE_MISSING"): 2}),
        ("capsule_images", {(): 1}),
        ("capsule_images_size_bytes", {(): 1_000}),
        ("capsule_operators", {("admin",): 0, ("operator",): 0, ("reader",): 1}),
        ("capsule_streams_open", {(): 0}),
        ("capsule_workload_restarts_total", {("web",): 1, ("bad",): 0}),
        ("capsule_workload_start_time_seconds", {("web",): 7}),
        ("capsule_workload_healthy", {("web",): 1}),
        ("capsule_workload_oom_kills_total", {("web",): 0, ("bad",): 2}),
        ("capsule_workload_last_exit_code", {("bad",): 3}),
        ("capsule_workload_cpu_limit_cores", {("web",): 0.5}),
        ("capsule_workload_cpu_seconds_total", {("web",): 1.5}),
        ("capsule_workload_cpu_throttled_seconds_total", {("web",): 0.25}),
        ("capsule_workload_memory_working_set_bytes", {("web",): 7_000}),
        ("capsule_workload_memory_anonymous_bytes", {("web",): 5_000}),
        ("capsule_workload_memory_limit_bytes", {}),
        ("capsule_workload_pids", {("web",): 3}),
        ("capsule_workload_pids_limit", {("web",): 4_096}),
        ("capsule_workload_disk_read_bytes_total", {("web",): 1}),
        ("capsule_workload_disk_written_bytes_total", {("web",): 2}),
        ("capsule_workload_disk_reads_total", {("web",): 3}),
        ("capsule_workload_disk_writes_total", {("web",): 4}),
        ("capsule_workload_network_receive_bytes_total", {("web",): 10}),
        ("capsule_workload_network_transmit_bytes_total", {("web",): 20}),
        ("capsule_workload_network_receive_packets_total", {("web",): 30}),
        ("capsule_workload_network_transmit_packets_total", {("web",): 40}),
        ("capsule_workload_network_receive_dropped_total", {("web",): 50}),
        ("capsule_workload_network_transmit_dropped_total", {("web",): 60}),
        ("capsule_volume_size_bytes", {("data",): 1 << 30, ("gone",): 1 << 20}),
        ("capsule_volume_mounted", {("data", "web"): 1}),
        ("capsule_volume_filesystem_size_bytes", {("data",): 900}),
        ("capsule_volume_filesystem_used_bytes", {("data",): 90}),
        ("capsule_volume_lost", {("data",): 0, ("gone",): 1}),
        ("capsule_volume_snapshots", {("data",): 1, ("gone",): 0}),
    ],
)
def test_each_figure_is_what_the_machine_knows(name: str, found: dict[tuple[str, ...], float]) -> None:
    families = parsed(page(facts()))
    if found:
        assert values(families, name) == found
    else:
        assert families[name].samples == []


def test_a_phase_is_one_of_all_there_are() -> None:
    rows = values(parsed(page(facts())), "capsule_workload_phase")
    assert {key for key, one in rows.items() if one} == {("running", "web"), ("failed", "bad")} and len(rows) == 8


def test_where_the_journal_cannot_be_read_nothing_is_said_of_objects() -> None:
    families = parsed(page(msgspec.structs.replace(facts(), machine=None, reading=None, journal_room=None)))
    assert families["capsule_condition"].samples
    not_said = ("capsule_volume", "capsule_images", "capsule_operators", "capsule_journal_disk")
    assert not [one for one in families if one.startswith(not_said)]
    assert not [one for name, one in families.items() if name.startswith("capsule_workload") and one.samples]


def test_a_hundred_workloads_are_written_in_a_moment() -> None:
    one = facts()
    assert one.machine is not None and one.reading is not None
    web, usage = one.machine.workloads["web"], one.reading.usages["web"]
    names = [f"web-{number:03}" for number in range(100)]
    one.machine.workloads.update((name, msgspec.structs.replace(web, name=name)) for name in names)
    one.reading.usages.update((name, msgspec.structs.replace(usage, name=name)) for name in names)
    begun = time.process_time()
    text = page(one)
    assert time.process_time() - begun < 1.0
    assert len(values(parsed(text), "capsule_workload_cpu_seconds_total")) == 101


# --- gathering --------------------------------------------------------------------------------------------------------


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Standing]:
    with standing(tmp_path / "state") as made:
        yield made


def gatherer(house: Standing, **other: Any) -> Gatherer:
    inner = house.house
    given: dict[str, Any] = {
        "engine": inner.engine,
        "sampler": inner.sampler,
        "volumes": inner.volumes,
        "about": inner.about,
        "journal": inner.layout.journal,
        "room": room_of(inner.memory),
    }
    return Gatherer(**(given | other), head=head_of(inner.memory), readable=True)


class Broken:
    """A driver of anything, whose runtime is down."""

    async def reading(self, young_ns: int) -> Reading:
        raise RuntimeUnavailable("containerd does not answer")

    async def pool(self) -> Fill:
        raise RuntimeUnavailable("the storage does not answer")


def test_a_driver_that_fails_costs_its_own_figures_alone(house: Standing) -> None:
    good = house.do(gatherer(house).gather)
    assert good.gathered == {"usage": True, "volumes": True} and good.reading is not None and good.pool is not None
    assert good.journal_bytes > 0 and good.disk_bytes > good.disk_left_bytes > 0 and good.head_seq >= 1
    assert good.journal_room is not None
    assert good.disk_bytes > good.journal_room.size_bytes > good.journal_room.available_bytes > 0
    for part in ("sampler", "volumes"):
        found = house.do(gatherer(house, **{part: Broken()}).gather)
        assert [name for name, had in found.gathered.items() if not had] == ["usage" if part == "sampler" else part]
        assert parsed(page(found))["capsule_journal_entries"].samples


def holding(house: Standing, *names: str) -> None:
    """There are these volumes, and something runs on each."""

    async def happen() -> None:
        engine = house.house.engine
        for name in names:
            engine.record((VolumeApplied(name, 1 << 20, created=True),))
            uid = engine.machine.volumes[name].uid
            engine.record((VolumeMade(name, uid, 1 << 20), VolumeMounted(name, uid, f"{name}-vm", 1)))

    house.do(happen)


class Guests(TwinVolumes):
    """Volumes in guests, of which some are `silent`."""

    def __init__(self, *silent: str) -> None:
        super().__init__(Storage(), no_step)
        self.silent = silent

    async def usage(self, name: str, uid: int) -> Fill | None:
        if name in self.silent:
            raise RuntimeUnavailable(f"the agent in {name}-vm does not answer")
        return Fill(100, 7)


async def no_step(point: str) -> None:
    pass


def test_a_volume_whose_guest_is_silent_is_missed_and_costs_no_other_its_figures(
    house: Standing, caplog: pytest.LogCaptureFixture
) -> None:
    holding(house, "data", "more")
    whole = house.do(gatherer(house, volumes=Guests()).gather)
    assert whole.gathered["volumes"] and set(whole.fills) == {"data", "more"}
    found = house.do(gatherer(house, volumes=Guests("data")).gather)
    assert values(parsed(page(found)), "capsule_volume_filesystem_used_bytes") == {("more",): 7}
    assert values(parsed(page(found)), "capsule_collector_success") == {("usage",): 1, ("volumes",): 0}
    assert found.pool is not None
    assert "volume data: the agent in data-vm does not answer" in caplog.text


class Busy(Guests):
    """A storage that one command keeps busy: whoever asks for all of it stands behind that."""

    async def pool(self) -> Fill:
        await asyncio.Event().wait()
        raise AssertionError


def test_a_storage_that_is_busy_hides_no_volume_that_fills(house: Standing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capsuled.metrics.facts.LOOK_S", 0.2)
    holding(house, "data")
    found = house.do(gatherer(house, volumes=Busy()).gather)
    assert found.fills == {"data": Fill(100, 7)} and found.pool is None and not found.gathered["volumes"]


class Mute:
    """A meter of one microVM, whose guest does not answer."""

    async def reading(self, young_ns: int) -> Reading:
        return Reading(1, 1, MachineUse(1, 2, 3, 4, 5, 0.5), {"vm": Usage("vm", 5, 1, 1, Cpu(9), whole=False)})


def test_a_microvm_whose_guest_is_silent_is_missed_too(house: Standing, caplog: pytest.LogCaptureFixture) -> None:
    found = house.do(gatherer(house, sampler=Mute()).gather)
    assert values(parsed(page(found)), "capsule_workload_cpu_seconds_total") == {("vm",): 9e-9}
    assert found.gathered == {"usage": False, "volumes": True} and "the guest of vm" in caplog.text


class Hung:
    """A driver of anything, which answers nobody."""

    async def reading(self, young_ns: int) -> Reading:
        await asyncio.Event().wait()
        raise AssertionError

    async def pool(self) -> Fill:
        await asyncio.Event().wait()
        raise AssertionError


def test_a_driver_that_hangs_costs_its_own_figures_alone_too(
    house: Standing, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("capsuled.metrics.facts.LOOK_S", 0.2)
    for part, name in (("sampler", "usage"), ("volumes", "volumes")):
        begun = time.monotonic()
        found = house.do(gatherer(house, **{part: Hung()}).gather)
        assert time.monotonic() - begun < 5
        assert [one for one, had in found.gathered.items() if not had] == [name]
    assert caplog.text.count("there was no answer within 0.2 s") == 2


def test_the_operating_system_says_that_it_is_one(house: Standing) -> None:
    house.house.about.mode = "os"
    (labels,) = values(parsed(page(house.do(gatherer(house).gather))), "capsule_build_info")
    assert "os" in labels and "hosted" not in labels


def test_entries_and_failures_are_counted_as_they_are_written(house: Standing) -> None:
    counting = gatherer(house)
    failed = [EffectFailed("StartRun", "web", 5, reason, "no") for reason in ("IMAGE_MISSING", "NO_SPACE", "NO_SPACE")]

    async def happen() -> None:
        house.house.engine.record(failed)

    house.do(happen)
    found = house.do(counting.gather)
    assert found.failures == {("StartRun", "IMAGE_MISSING"): 1, ("StartRun", "NO_SPACE"): 2}
    assert found.entries["effect.failed"] == 3 and found.head_seq == house.entries()[-1][0].seq
