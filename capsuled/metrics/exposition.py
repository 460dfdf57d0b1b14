"""Facts in Prometheus' text format, by its conventions: base units, counters that end in `_total`, `_info` for words.

Labels are names that an operator gave, and words from closed lists; no value of the environment, no argument and no
secret is ever one. Pure.
"""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from capsuled.condition import Condition
from capsuled.metrics.facts import Facts
from effects.stats.protocol import Usage
from journal.release import RELEASE
from journal.specs import Role
from projections.phases import RunPhase
from projections.state import Machine, Workload
from projections.status import Phase, status_of

Row = tuple[Sequence[str], float | None]
"""Labels and a value; None for one that there is no figure of."""

_SECOND_NS = 1_000_000_000
_ROLES: tuple[Role, ...] = ("admin", "operator", "reader")


def page(facts: Facts) -> bytes:
    """The whole text."""
    return generate_latest(_Once([*_families(facts), *ProcessCollector(registry=None).collect()]))


class _Once:
    """What the library takes to write down."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _families(facts: Facts) -> Iterator[Metric]:
    yield from _capsule(facts)
    yield from _journal(facts)
    if facts.machine is not None:
        workloads = [facts.machine.workloads[name] for name in sorted(facts.machine.workloads)]
        yield from _cache(facts.machine)
        yield from _declared(workloads)
        yield from _lived(workloads)
        yield from _volumes(facts, facts.machine)
    usages = () if facts.reading is None else facts.reading.usages.values()
    yield from _used(list(usages))


def _gauge(name: str, text: str, labels: Sequence[str], rows: Iterable[Row]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"capsule_{name}", text, labels=labels)
    for values, number in rows:
        if number is not None:
            family.add_metric(values, number)
    return family


def _counter(name: str, text: str, labels: Sequence[str], rows: Iterable[Row]) -> CounterMetricFamily:
    family = CounterMetricFamily(f"capsule_{name}", text, labels=labels)
    for values, number in rows:
        if number is not None:
            family.add_metric(values, number)
    return family


# --- the machine ------------------------------------------------------------------------------------------------------


def _capsule(facts: Facts) -> Iterator[Metric]:
    labels = ("version", "capsule", "mode", "containerd")
    about = (RELEASE, facts.short_id, facts.mode, facts.containerd)
    yield _gauge("build_info", "What serves here.", labels, [(about, 1)])
    conditions = [((one.value,), float(one.value == facts.condition)) for one in Condition]
    yield _gauge("condition", "Whether the daemon may act: 1 for what it is.", ("condition",), conditions)
    had = [((name,), float(good)) for name, good in facts.gathered.items()]
    yield _gauge(
        "collector_success", "Whether these figures could be had for this scrape, all of them.", ("collector",), had
    )
    yield _gauge("state_disk_size_bytes", "The file system of the state directory.", (), [((), facts.disk_bytes)])
    yield _gauge("state_disk_available_bytes", "Left of it.", (), [((), facts.disk_left_bytes)])
    if facts.pool is not None:
        yield _gauge("storage_size_bytes", "The storage under all volumes.", (), [((), facts.pool.total_bytes)])
        yield _gauge("storage_used_bytes", "Used of it.", (), [((), facts.pool.used_bytes)])


def _journal(facts: Facts) -> Iterator[Metric]:
    yield _counter("journal_entries", "Entries of the journal: its newest sequence number.", (), [((), facts.head_seq)])
    yield _gauge("journal_size_bytes", "What the journal takes on the disk.", (), [((), facts.journal_bytes)])
    if facts.journal_room is not None:
        size, left = facts.journal_room
        yield _gauge("journal_disk_size_bytes", "What its disk has for the journal.", (), [((), size)])
        yield _gauge("journal_disk_available_bytes", "Left of it.", (), [((), left)])
    written = [((kind,), number) for kind, number in sorted(facts.entries.items())]
    yield _counter("entries_written", "Entries since the daemon began, by type.", ("type",), written)
    failed = [(labels, number) for labels, number in sorted(facts.failures.items())]
    text = "Effects that failed since the daemon began; each is tried again unless that is in vain."
    yield _counter("effect_failures", text, ("effect", "reason"), failed)


def _cache(machine: Machine) -> Iterator[Metric]:
    size = sum(one.size_bytes for one in machine.cached.values())
    yield _gauge("images", "Images in the cache, by digest.", (), [((), len(machine.cached))])
    yield _gauge("images_size_bytes", "Their blobs, as they were fetched.", (), [((), size)])
    held = [((role,), sum(one.role == role for one in machine.operators.values())) for role in _ROLES]
    yield _gauge("operators", "Keys that may drive the machine, by role.", ("role",), held)
    yield _gauge("streams_open", "Calls that act and stream: exec, pushes.", (), [((), len(machine.streams))])


# --- workloads --------------------------------------------------------------------------------------------------------


def _declared(workloads: Sequence[Workload]) -> Iterator[Metric]:
    labels = ("workload", "uid", "kind", "image", "network")
    about = [((one.name, str(one.uid), one.kind, one.spec.image.ref, one.spec.network), 1) for one in workloads]
    yield _gauge("workload_info", "What is declared.", labels, about)
    phases = [(one.name, status_of(one).phase) for one in workloads]
    rows = [((name, phase.value), float(phase is found)) for name, found in phases for phase in Phase]
    yield _gauge("workload_phase", "1 for the phase that it is in.", ("workload", "phase"), rows)
    limits = [((one.name,), one.spec.resources.cpu_millis / 1_000 or None) for one in workloads]
    yield _gauge("workload_cpu_limit_cores", "Of those that have one.", ("workload",), limits)


def _lived(workloads: Sequence[Workload]) -> Iterator[Metric]:
    of = ("workload",)
    restarts = [((one.name,), one.restarts) for one in workloads]
    yield _counter("workload_restarts", "By policy and by request, since it was created.", of, restarts)
    runs = [(one.name, one.run) for one in workloads if one.run is not None]
    alive = [(name, run) for name, run in runs if run.phase is RunPhase.RUNNING]
    began = [((name,), run.started_at / _SECOND_NS) for name, run in alive]
    yield _gauge("workload_start_time_seconds", "When the run that lives began.", of, began)
    well = [((name,), float(run.health == "healthy")) for name, run in alive if run.health is not None]
    yield _gauge("workload_healthy", "What its check says, once it has said something.", of, well)
    killed = [((name,), run.oom_kills) for name, run in runs]
    yield _counter("workload_oom_kills", "Processes of the newest run that the kernel killed for memory.", of, killed)
    ended = [((one.name,), _last_code(one)) for one in workloads]
    yield _gauge("workload_last_exit_code", "Of the newest run that has ended with one.", of, ended)


def _last_code(workload: Workload) -> int | None:
    codes = [run.exit_code for run in (workload.run, workload.last_run) if run is not None]
    return next((code for code in codes if code is not None), None)


def _used(usages: Sequence[Usage]) -> Iterator[Metric]:
    of = ("workload",)
    cpu = [((one.name,), one.cpu) for one in usages if one.cpu is not None]
    memory = [((one.name,), one.memory) for one in usages if one.memory is not None]
    pids = [((one.name,), one.pids) for one in usages if one.pids is not None]
    disk = [((one.name,), one.disk) for one in usages if one.disk is not None]
    link = [((one.name,), one.traffic) for one in usages if one.traffic is not None]
    yield _counter(
        "workload_cpu_seconds", "Processor time of the run.", of, [(who, one.total_ns / _SECOND_NS) for who, one in cpu]
    )
    yield _counter(
        "workload_cpu_throttled_seconds",
        "Time that its limit held it back.",
        of,
        [(who, one.throttled_ns / _SECOND_NS) for who, one in cpu],
    )
    yield _gauge(
        "workload_memory_working_set_bytes",
        "Memory without the files' pages that nobody has used lately.",
        of,
        [(who, one.working_set_bytes) for who, one in memory],
    )
    yield _gauge(
        "workload_memory_anonymous_bytes",
        "Memory that no file stands behind.",
        of,
        [(who, one.anonymous_bytes) for who, one in memory],
    )
    yield _gauge(
        "workload_memory_limit_bytes",
        "Of those that have one.",
        of,
        [(who, one.limit_bytes or None) for who, one in memory],
    )
    yield _gauge("workload_pids", "Processes and threads.", of, [(who, one.current) for who, one in pids])
    yield _gauge("workload_pids_limit", "Of those that have one.", of, [(who, one.limit or None) for who, one in pids])
    yield _counter("workload_disk_read_bytes", "From block devices.", of, [(who, one.read_bytes) for who, one in disk])
    yield _counter(
        "workload_disk_written_bytes", "To block devices.", of, [(who, one.written_bytes) for who, one in disk]
    )
    yield _counter("workload_disk_reads", "Requests to block devices.", of, [(who, one.reads) for who, one in disk])
    yield _counter("workload_disk_writes", "Requests to block devices.", of, [(who, one.writes) for who, one in disk])
    for direction, past in (("receive", "received"), ("transmit", "sent")):
        for unit, what in (
            ("bytes", "Bytes"),
            ("packets", "Packets"),
            ("dropped", "Packets that were dropped as they were"),
        ):
            rows = [(who, getattr(one, f"{past}_{unit}")) for who, one in link]
            yield _counter(f"workload_network_{direction}_{unit}", f"{what} {past} over its own link.", of, rows)


# --- volumes ----------------------------------------------------------------------------------------------------------


def _volumes(facts: Facts, machine: Machine) -> Iterator[Metric]:
    of = ("volume",)
    volumes = [machine.volumes[name] for name in sorted(machine.volumes)]
    yield _gauge("volume_size_bytes", "As it was asked for.", of, [((one.name,), one.size_bytes) for one in volumes])
    mounted = [((one.name, one.holder), 1) for one in volumes if one.holder]
    yield _gauge("volume_mounted", "By whom it is.", ("volume", "workload"), mounted)
    fills = sorted(facts.fills.items())
    total = [((name,), fill.total_bytes) for name, fill in fills]
    yield _gauge("volume_filesystem_size_bytes", "The file system in it, while it is mounted.", of, total)
    yield _gauge(
        "volume_filesystem_used_bytes", "Used of it.", of, [((name,), fill.used_bytes) for name, fill in fills]
    )
    lost = [((one.name,), float(one.lost)) for one in volumes]
    yield _gauge("volume_lost", "1 where the storage does not have it any more.", of, lost)
    taken = [((one.name,), sum(snapshot.taken for snapshot in one.snapshots)) for one in volumes]
    yield _gauge("volume_snapshots", "Snapshots that are kept of it.", of, taken)
