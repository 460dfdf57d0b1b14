"""Whom an entry gives something to do: the objects whose next goal it may have changed, by the planner's keys. Pure.

The runner never polls: who is left out here stands still until something else befalls it.
"""

from collections.abc import Iterator

from journal.entry import Header
from journal.events import (
    Event,
    ImageFound,
    ImageLost,
    ImagePulled,
    ImagePushed,
    ImageRemoved,
    NetworkDrifted,
    NetworkEnsured,
    RegistryConfigured,
    SecretRotated,
)
from projections.fold import fold
from projections.images import users as users_of_image
from projections.secrets import users_of as users_of_secret
from projections.state import Machine, Volume, Workload

_FAR = ImagePushed | ImagePulled | ImageFound | RegistryConfigured | NetworkEnsured
"""Events that may change workloads that they do not name: by these, what was waited for is here."""


def folded(machine: Machine, header: Header, event: Event) -> Iterator[str]:
    """Fold the entry into the state; who is to be woken by it comes once that is done."""
    names = tuple(machine.workloads) if isinstance(event, _FAR) else _named(event)
    held = [(machine.workloads.get(name), machine.volumes.get(name)) for name in names]
    fold(machine, header, event)
    return _woken(machine, event, list(zip(names, held, strict=True)))


def _woken(
    machine: Machine, event: Event, held: list[tuple[str, tuple[Workload | None, Volume | None]]]
) -> Iterator[str]:
    for name, (workload, volume) in held:
        if machine.workloads.get(name) is not workload:
            yield name
        if machine.volumes.get(name) is not volume:
            yield f"volume/{name}"
            # Who had it may be declared without it, and may not hold it any more.
            if volume is not None and volume.holder:
                yield volume.holder
    yield from _elsewhere(machine, event)


def _elsewhere(machine: Machine, event: Event) -> tuple[str, ...]:
    """Workloads that stay as they are, and of which something that they need is another one now, or gone."""
    match event:
        case SecretRotated():
            return users_of_secret(machine, event.name)
        case NetworkDrifted() if not event.name:
            return tuple(name for name, workload in machine.workloads.items() if workload.address)
        case ImageLost() | ImageRemoved():
            return tuple(name for digest in event.digests for name in users_of_image(machine, digest))
        case _:
            return ()


def _named(event: Event) -> tuple[str, ...]:
    items = getattr(event, "items", None)
    if items is not None:
        return tuple(item.name for item in items)
    name = getattr(event, "name", "")
    return (name,) if name else ()
