"""What has no end of its own, told within bounds: texts and lists are cut, and say how much of them is left out. Pure.

The journal holds whatever was admitted, and a message has 4 MiB. Who needs all of it has the export.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from capsule.v1.machine_pb2 import FieldChange
from capsule.v1.workload_pb2 import Workload, WorkloadStatus

MESSAGE_BYTES = 4 << 20
"""What a client takes that was told of nothing else."""
CHANGES_BYTES = 2 << 20
"""Of all changes in an answer: another entry's body has room beside them."""
PATH_CHARS = 256
DEEPEST = 64
MARK = "…"
_ALL = 1 << 62
_STEPS = ((4_096, _ALL), (512, _ALL), (512, 1_024), (512, 128), (64, 64), (16, 16))
"""Characters of a text and items of a list, tried in this order: it is long texts that make a body long."""
_VALUES_BYTES = (64 << 10, 4 << 10, 512)
_STATUS_CHARS = (1_024, 256, 64, 0)
"""Of each text of a status. Beside its texts it has no more than admission reckons for it."""


def cut(text: str, chars: int) -> str:
    """At most so many characters of it, and how many more there are."""
    left = len(text) - chars
    return text if left <= 0 else f"{text[:chars]}{MARK} ({left} more characters)"


def cut_json(text: str, most_bytes: int) -> str:
    """The same value where it is not too long, else one of its kind that has most of it. Raises ValueError for what is
    no JSON."""
    if len(text) * 4 <= most_bytes or len(raw := text.encode()) <= most_bytes:
        return text
    value = msgspec.json.decode(raw)
    for chars, items in _STEPS:
        fitting = msgspec.json.encode(_cut(value, chars, items))
        if len(fitting) <= most_bytes:
            return fitting.decode()
    words = f"{MARK} ({len(raw)} bytes)"
    short = {MARK: words} if isinstance(value, dict) else [words] if isinstance(value, list) else words
    return msgspec.json.encode(short).decode()


def _cut(value: Any, chars: int, items: int, deep: int = 0) -> Any:
    if isinstance(value, str):
        return cut(value, chars)
    if deep > DEEPEST:
        return MARK
    if isinstance(value, list):
        some = [_cut(one, chars, items, deep + 1) for one in value[:items]]
        return some if len(value) <= items else [*some, f"{MARK} ({len(value) - items} more)"]
    if isinstance(value, dict):
        few = {cut(name, chars): _cut(one, chars, items, deep + 1) for name, one in list(value.items())[:items]}
        return few if len(value) <= items else few | {MARK: f"({len(value) - items} more)"}
    return value


def cut_changes(changes: Iterable[FieldChange], most_bytes: int = CHANGES_BYTES) -> list[FieldChange]:
    """All of them where there is room, else with shorter values; the last one says how many are left out."""
    changes = list(changes)
    for value_bytes in _VALUES_BYTES:
        if sum(one.ByteSize() for one in changes) <= most_bytes:
            return changes
        changes = [one if one.ByteSize() <= value_bytes else _shorter(one, value_bytes) for one in changes]
    kept: list[FieldChange] = []
    left_bytes = most_bytes
    for number, one in enumerate(changes):
        left_bytes -= one.ByteSize()
        if left_bytes < 0:
            words = f'"{MARK} ({len(changes) - number} more)"'
            return [*kept, FieldChange(name=one.name, op="change", path=MARK, old=words, new=words)]
        kept.append(one)
    return kept


def cut_statuses(answer: Any, workloads: Iterable[Workload], most_bytes: int = MESSAGE_BYTES) -> None:
    """Where the answer, in which these stand, is too long, shorten what is told of their state, all alike: what they
    are declared as was admitted as what a list has room for, and what happens to them since asks nobody."""
    for chars in _STATUS_CHARS:
        if answer.ByteSize() <= most_bytes:
            return
        for workload in workloads:
            _cut_status(workload.status, chars)


def _cut_status(status: WorkloadStatus, chars: int) -> None:
    status.message, status.last_end = _head(status.message, chars), _head(status.last_end, chars)
    status.health_message = _head(status.health_message, chars)
    for condition in status.conditions:
        condition.message = _head(condition.message, chars)


def _head(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[:chars]}{MARK}"


def _shorter(change: FieldChange, value_bytes: int) -> FieldChange:
    return FieldChange(
        name=change.name,
        op=change.op,
        path=cut(change.path, PATH_CHARS),
        old=cut_json(change.old, value_bytes),
        new=cut_json(change.new, value_bytes),
    )
