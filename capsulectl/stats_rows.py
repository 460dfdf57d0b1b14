"""What workloads use, as a table: its columns, their order, and figures as people read them."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from capsulectl.render import widths_of
from projections.words import bytes_text

Key = Literal["name", "cpu", "memory", "pids", "disk", "network"]

HEADINGS = ("NAME", "CPU", "MEMORY", "LIMIT", "PIDS", "READ/S", "WRITE/S", "RX/S", "TX/S")
_WIDE = (*HEADINGS, "CPU TIME", "HELD BACK", "READ", "WRITTEN", "RECEIVED", "SENT", "LAYER", "RUN")
UNKNOWN = "-"


def headings(wide: bool) -> tuple[str, ...]:
    """Of the columns."""
    return _WIDE if wide else HEADINGS


def row_of(usage: Any, wide: bool) -> tuple[str, ...]:
    """A workload's cells."""
    cpu, memory, pids = (_part(usage, name) for name in ("cpu", "memory", "pids"))
    disk, network = _part(usage, "disk"), _part(usage, "network")
    row = (
        usage.name,
        _figure(cpu, "percent", percent_text),
        _figure(memory, "working_set_bytes", bytes_text),
        bytes_text(memory.limit_bytes) if memory is not None and memory.limit_bytes else UNKNOWN,
        _figure(pids, "current", str),
        _figure(disk, "read_bytes_per_second", _by_the_second),
        _figure(disk, "written_bytes_per_second", _by_the_second),
        _figure(network, "received_bytes_per_second", _by_the_second),
        _figure(network, "sent_bytes_per_second", _by_the_second),
    )
    if not wide:
        return row
    return (
        *row,
        _figure(cpu, "total_ns", time_text),
        _figure(cpu, "throttled_ns", time_text),
        _figure(disk, "read_bytes", bytes_text),
        _figure(disk, "written_bytes", bytes_text),
        _figure(network, "received_bytes", bytes_text),
        _figure(network, "sent_bytes", bytes_text),
        bytes_text(usage.layer_bytes) if usage.HasField("layer_bytes") else UNKNOWN,
        str(usage.run or UNKNOWN),
    )


def ordered(usages: Iterable[Any], key: Key) -> list[Any]:
    """By name, or by what they use, most first."""
    return sorted(usages, key=lambda usage: (*(-size for size in _sizes(usage, key)), usage.name))


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """The same cells with figures to the right: those of one column stand below each other. Names stay on the left."""
    widths = widths_of(heads, rows)

    def fit(line: Sequence[str]) -> list[str]:
        return [line[0], *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]

    return fit(heads), [fit(row) for row in rows]


def percent_text(percent: float) -> str:
    """Of a core."""
    return f"{percent:.1f}%"


def time_text(nanoseconds: int) -> str:
    """0.4s, 12.3s, 3m05s, 2h07m."""
    seconds = nanoseconds / 1_000_000_000
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3_600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3_600}h{whole % 3_600 // 60:02d}m"


def _by_the_second(count: float) -> str:
    return bytes_text(round(count))


def _part(usage: Any, name: str) -> Any:
    return getattr(usage, name) if usage.HasField(name) else None


def _figure(part: Any, name: str, text: Any) -> str:
    """A figure; a rate may be missing where the counter is there."""
    if part is None:
        return UNKNOWN
    field = part.DESCRIPTOR.fields_by_name[name]
    return UNKNOWN if field.has_presence and not part.HasField(name) else str(text(getattr(part, name)))


def _sizes(usage: Any, key: Key) -> tuple[float, float]:
    """What it is ordered by: its rate, then, of those without one, what has come together."""
    cpu, disk, network = usage.cpu, usage.disk, usage.network
    match key:
        case "name":
            return 0, 0
        case "cpu":
            return cpu.percent, cpu.total_ns
        case "memory":
            return usage.memory.working_set_bytes, 0
        case "pids":
            return usage.pids.current, 0
        case "disk":
            by_the_second = disk.read_bytes_per_second + disk.written_bytes_per_second
            return by_the_second, disk.read_bytes + disk.written_bytes
        case "network":
            by_the_second = network.received_bytes_per_second + network.sent_bytes_per_second
            return by_the_second, network.received_bytes + network.sent_bytes
