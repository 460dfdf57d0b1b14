"""A boot as a bar chart: a line a stage, its bar where and as long as it was. Pure."""

from collections.abc import Sequence

from capsule.v1 import capsule_pb2 as pb

_LEAST_BAR, _MOST_BAR = 20, 100


def chart(stages: Sequence[pb.BootStage], ready_ms: int, columns: int) -> list[str]:
    """Lines of at most `columns`, unless a stage's name is longer than that; below each stage that failed, why."""
    width = max(len(one.name) for one in stages)
    end_ms = max(one.began_ms + one.took_ms for one in stages)
    figures = max(len(_seconds(end_ms)), len("TOOK"))
    room = min(max(columns - width - 2 * figures - 6, _LEAST_BAR), _MOST_BAR)
    lines = [f"{'STAGE':<{width}}  {'AT':>{figures}}  {'TOOK':>{figures}}".rstrip()]
    for one in stages:
        bar = _bar(one.began_ms, one.took_ms, end_ms, room)
        lines.append(
            f"{one.name:<{width}}  {_seconds(one.began_ms):>{figures}}  {_seconds(one.took_ms):>{figures}}  {bar}"
        )
        if one.problem:
            lines.append(f"  ! {one.problem}")
    if ready_ms:
        lines.append(f"The API answered {_seconds(ready_ms)} after the kernel began.")
    return lines


def _bar(began_ms: int, took_ms: int, end_ms: int, room: int) -> str:
    """Every stage has at least one mark."""
    first = min(began_ms * room // max(end_ms, 1), room - 1)
    last = min(-(-(began_ms + took_ms) * room // max(end_ms, 1)), room)
    return " " * first + "█" * max(last - first, 1)


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.2f} s"
