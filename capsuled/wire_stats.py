"""Readings as messages: counters as they are, and rates against an earlier reading. Pure."""

from capsule.v1 import stats_pb2 as pb
from capsuled.sampler import MachineUse, Reading
from effects.stats.protocol import Cpu, Disk, Memory, Pids, Traffic, Usage

_SECOND_NS = 1_000_000_000


def sample_message(reading: Reading, before: Reading | None, names: tuple[str, ...] = ()) -> pb.StatsSample:
    """All that was measured; or each of `names`, also where nothing was. Without `before`, no rates."""
    earlier = {} if before is None else before.usages
    return pb.StatsSample(
        at_unix_ns=reading.at_unix_ns,
        machine=_machine(reading.machine, None if before is None else before.machine),
        workloads=[_workload(name, reading.usages.get(name), earlier.get(name)) for name in names or reading.usages],
    )


def rate(now: int, then: int | None, window_ns: int) -> float | None:
    """By the second. None with nothing to compare with, and for a counter that went back: it is another one."""
    if then is None or window_ns <= 0 or now < then:
        return None
    return (now - then) * _SECOND_NS / window_ns


def _percent(cpu_ns_a_second: float | None) -> float | None:
    return None if cpu_ns_a_second is None else cpu_ns_a_second * 100 / _SECOND_NS


def _machine(now: MachineUse, before: MachineUse | None) -> pb.MachineUsage:
    busy = None if before is None else rate(now.cpu_ns, before.cpu_ns, now.at_ns - before.at_ns)
    return pb.MachineUsage(
        cpu_cores=now.cpu_cores,
        cpu_ns=now.cpu_ns,
        cpu_percent=_percent(busy),
        memory_total_bytes=now.memory_total_bytes,
        memory_available_bytes=now.memory_available_bytes,
        load_1=now.load_1,
    )


def _workload(name: str, now: Usage | None, before: Usage | None) -> pb.WorkloadUsage:
    if now is None:
        return pb.WorkloadUsage(name=name)
    if before is None or (before.uid, before.run) != (now.uid, now.run):
        before = Usage(now.name, now.uid, now.run, now.at_ns)
    window_ns = now.at_ns - before.at_ns
    return pb.WorkloadUsage(
        name=name,
        uid=now.uid,
        run=now.run,
        measured=True,
        cpu=_cpu(now.cpu, before.cpu, window_ns),
        memory=_memory(now.memory),
        pids=_pids(now.pids),
        disk=_disk(now.disk, before.disk, window_ns),
        network=_network(now.traffic, before.traffic, window_ns),
    )


def _cpu(now: Cpu | None, then: Cpu | None, window_ns: int) -> pb.CpuUsage | None:
    if now is None:
        return None
    used = rate(now.total_ns, None if then is None else then.total_ns, window_ns)
    return pb.CpuUsage(total_ns=now.total_ns, throttled_ns=now.throttled_ns, percent=_percent(used))


def _memory(now: Memory | None) -> pb.MemoryUsage | None:
    if now is None:
        return None
    return pb.MemoryUsage(
        working_set_bytes=now.working_set_bytes, anonymous_bytes=now.anonymous_bytes, limit_bytes=now.limit_bytes
    )


def _pids(now: Pids | None) -> pb.PidsUsage | None:
    return None if now is None else pb.PidsUsage(current=now.current, limit=now.limit)


def _disk(now: Disk | None, then: Disk | None, window_ns: int) -> pb.DiskUsage | None:
    if now is None:
        return None
    return pb.DiskUsage(
        read_bytes=now.read_bytes,
        written_bytes=now.written_bytes,
        reads=now.reads,
        writes=now.writes,
        read_bytes_per_second=rate(now.read_bytes, None if then is None else then.read_bytes, window_ns),
        written_bytes_per_second=rate(now.written_bytes, None if then is None else then.written_bytes, window_ns),
    )


def _network(now: Traffic | None, then: Traffic | None, window_ns: int) -> pb.NetworkUsage | None:
    if now is None:
        return None
    return pb.NetworkUsage(
        received_bytes=now.received_bytes,
        sent_bytes=now.sent_bytes,
        received_packets=now.received_packets,
        sent_packets=now.sent_packets,
        received_dropped=now.received_dropped,
        sent_dropped=now.sent_dropped,
        received_bytes_per_second=rate(now.received_bytes, None if then is None else then.received_bytes, window_ns),
        sent_bytes_per_second=rate(now.sent_bytes, None if then is None else then.sent_bytes, window_ns),
    )
