"""One workload in full, for people: what it is, why it is so, what was declared, and what happened last."""

from collections.abc import Iterator, Sequence
from typing import Any

from capsulectl.render import age, moment, plain, printable
from capsulectl.words import desired_word, enum_word, phase, ports_word, short_image, spec_of

_INDENT = 13
_APART = frozenset({"image"})
"""Fields of a spec that the page shows elsewhere."""


def page(workload: Any, events: Sequence[Any], now_ns: int | None = None) -> str:
    """The page, as lines; ages are counted up to `now_ns`."""
    parts = [_head(workload, now_ns), _conditions(workload), _spec(workload), _events(workload, events, now_ns)]
    return "\n".join(line for part in parts for line in part)


def _head(workload: Any, now_ns: int | None) -> list[str]:
    status, spec = workload.status, spec_of(workload)
    seq = workload.desired_seq
    return _lines(
        ("Name", workload.name),
        ("Kind", _kind(workload)),
        ("Phase", phase(workload)),
        ("Message", status.message),
        ("Health", _health(status, now_ns)),
        ("Next try", _ahead(status.next_retry_unix_ns)),
        ("Desired", f"{desired_word(workload)}, since {seq} (`capsulectl history show {seq}`)"),
        ("Image", short_image(spec.image)),
        ("Pinned to", workload.image_digest),
        ("Run", _run(status)),
        ("Started", _when(status.started_at_unix_ns, now_ns)),
        ("Ended", _when(status.finished_at_unix_ns, now_ns)),
        ("Exit code", str(status.exit_code) if status.HasField("exit_code") else ""),
        ("Run before", f"{status.last_end}, {age(status.last_end_unix_ns, now_ns)} ago" if status.last_end else ""),
        ("Restarts", f"{status.restart_count}" + _in_a_row(status)),
        ("Address", status.address),
        ("Ports", ports_word(workload)),
        ("Depends on", ", ".join(workload.depends_on)),
        ("Labels", ", ".join(f"{key}={value}" for key, value in sorted(workload.labels.items()))),
    )


def _lines(*pairs: tuple[str, str]) -> list[str]:
    return [f"{name + ':':<{_INDENT}}{printable(value)}" for name, value in pairs if value]


def _kind(workload: Any) -> str:
    """With the machine that a microVM has, and what speeds it up."""
    if not workload.HasField("micro_vm"):
        return "Container"
    vm, with_ = workload.micro_vm, workload.status.accelerator.upper()
    count = "1 processor" if vm.vcpus == 1 else f"{vm.vcpus} processors"
    return f"MicroVM, {count}, {vm.memory_mib} MiB" + (f", {with_}" if with_ else "")


def _run(status: Any) -> str:
    if not status.run:
        return "none yet"
    return f"{status.run}" + (f", pid {status.pid}" if status.pid else "")


def _in_a_row(status: Any) -> str:
    return f", {status.ends_in_a_row} ends in a row" if status.ends_in_a_row > 1 else ""


def _health(status: Any, now_ns: int | None) -> str:
    if not status.health:
        return ""
    return f"{status.health}, for {age(status.health_since_unix_ns, now_ns)}"


def _when(at_ns: int, now_ns: int | None) -> str:
    return f"{age(at_ns, now_ns)} ago ({moment(at_ns)[:19]})" if at_ns else ""


def _ahead(at_ns: int) -> str:
    return moment(at_ns)[:19] if at_ns else ""


def _conditions(workload: Any) -> Iterator[str]:
    conditions = workload.status.conditions
    if not conditions:
        return
    width = max(len(one.type) for one in conditions)
    yield "Conditions:"
    for one in conditions:
        why = " ".join(filter(None, (one.reason, f"({one.message})" if one.message else "")))
        yield printable(f"  {one.type:<{width}}  {'yes' if one.met else 'no':<3}  {why}").rstrip()


def _spec(workload: Any) -> Iterator[str]:
    """Every field that was declared, in the manifest's words: also those that this page has never heard of."""
    spec = spec_of(workload)
    words = {field.json_name: enum_word(field, value) for field, value in spec.ListFields() if _is_enum(field, value)}
    yield "Declared:"
    for name, value in plain(spec).items():
        if name not in _APART:
            yield from _field(name, words.get(name, value), "  ")


def _field(name: str, value: Any, indent: str) -> Iterator[str]:
    match value:
        case dict():
            yield f"{indent}{name}:"
            for key, item in value.items():
                yield from _field(key, item, indent + "  ")
        case [dict(), *_]:
            yield f"{indent}{name}:"
            for item in value:
                yield f"{indent}  - " + ", ".join(f"{key}: {_scalar(inner)}" for key, inner in item.items())
        case list():
            yield f"{indent}{name}: [{', '.join(_scalar(item) for item in value)}]"
        case _:
            yield f"{indent}{name}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return printable(str(value))


def _events(workload: Any, events: Sequence[Any], now_ns: int | None) -> Iterator[str]:
    if not events:
        return
    yield f"Events:      the newest; `capsulectl events {workload.name}` has all"
    for entry in events:
        yield f"  {entry.seq:>6}  {age(entry.at_unix_ns, now_ns):>4}  {printable(entry.summary)}"


def _is_enum(field: Any, value: Any) -> bool:
    return field.enum_type is not None and isinstance(value, int)
