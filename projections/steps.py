"""The fold one entry at a time, and what each made of the state: paths with what stood there before and after. Pure.

What every entry changes is left out: its own number and moment, and for how long the machine has been up.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from journal.entry import Header
from journal.events import Event
from projections.fold import fold
from projections.state import Machine

_EVERY_TIME = frozenset({"seq", "at", "lived_ns", "mono_boot", "mono_ns"})
_FIELDS = tuple(name for name in Machine.__struct_fields__ if name not in _EVERY_TIME)


class Change(NamedTuple):
    """One place in the state. `op`: add, remove or change; values as plain data, None where there is none."""

    op: str
    path: str
    old: Any
    new: Any


class Steps:
    """A state that is folded on, one entry after the other."""

    def __init__(self, machine: Machine | None = None) -> None:
        self.machine = Machine() if machine is None else machine

    def skip(self, header: Header, event: Event | None) -> None:
        """Fold an entry."""
        fold(self.machine, header, event)

    def take(self, header: Header, event: Event | None) -> tuple[Change, ...]:
        """Fold an entry, and tell what it changed, in the order of the state's own fields."""
        before = self.machine.fork()
        fold(self.machine, header, event)
        return tuple(
            change
            for name in _FIELDS
            for change in _differences(name, getattr(before, name), getattr(self.machine, name))
        )


def _differences(path: str, old: Any, new: Any) -> Iterator[Change]:
    """Records that are the same object are not looked into: the fold shares what it does not change."""
    if old is new or old == new:
        return
    if isinstance(old, dict):
        for key in sorted({*old, *new}, key=_text):
            yield from _differences(f"{path}.{_text(key)}", old.get(key), new.get(key))
    elif isinstance(old, msgspec.Struct) and type(old) is type(new):
        for field in old.__struct_fields__:
            yield from _differences(f"{path}.{field}", getattr(old, field), getattr(new, field))
    else:
        op = "add" if old is None else "remove" if new is None else "change"
        yield Change(op, path, _plain(old), _plain(new))


def _text(key: Any) -> str:
    return "/".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _plain(value: Any) -> Any:
    """Defaults are left out, so that what is new of a record is what was said of it."""
    return msgspec.to_builtins(value)
