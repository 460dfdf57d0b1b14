"""Drift: where the world, as it is known, differs from what is wanted; and of each difference whose it is. Pure.

`intended`: it was asked for, or is on its way. `effect-failed`: what would make it so failed. `foreign`: another hand
changed the world. A program that ended by itself and that its restart policy leaves so is none of these.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Literal

import msgspec

from journal.entry import Header
from journal.events import (
    DriftFound,
    DriftResolved,
    Event,
    ImageLost,
    NetworkDrifted,
    VolumeDrifted,
    VolumeLost,
    WorkloadApplied,
    WorkloadExited,
    WorkloadLost,
    WorkloadStartRequested,
)
from projections.dependencies import waits
from projections.foreign import IMAGE, LINK, MOUNT, RULES, RUN, rules_are_left
from projections.handlers import Handlers
from projections.network import in_use, is_bridged
from projections.phases import LIVE, RunPhase
from projections.state import DriftKey, Foreign, Machine, Run, Trouble, Volume, Workload
from projections.status import due_trouble, how_it_ended, one_line
from projections.volumes import due_snapshot, is_wanted, taken_away

NETWORK = "network"
"""The object that bridge and rules are."""


class Label(StrEnum):
    """Whose a difference is."""

    INTENDED = "intended"
    EFFECT_FAILED = "effect-failed"
    FOREIGN = "foreign"


class Difference(msgspec.Struct, frozen=True):
    """One difference. `object` is like workload/web, volume/data, image/REF, or network; `what` says what is not so,
    and `message` why; `then` what the machine will do about it or, where it will do nothing, what an operator can do.

    `seq` is the entry that says so, of `since` (wall nanoseconds); nothing is done before `next_at`, if that is not 0.
    `repair`: the machine mends it without a further word.
    """

    object: str
    aspect: str
    label: Label
    what: str
    since: int
    seq: int
    message: str = ""
    then: str = ""
    next_at: int = 0
    repair: bool = True

    @property
    def key(self) -> DriftKey:
        """What tells it from others."""
        return self.object, self.aspect


def drift(machine: Machine, names: frozenset[str] = frozenset()) -> tuple[Difference, ...]:
    """Every difference, workloads first; of the named objects only, if there are names. An object's name is as in
    `object`, or what stands behind its slash."""
    return named(tuple(_all(machine)), names)


def named(found: tuple[Difference, ...], names: frozenset[str]) -> tuple[Difference, ...]:
    """Those of these objects; all of them, if there are no names."""
    if not names:
        return found
    return tuple(one for one in found if one.object in names or one.object.partition("/")[2] in names)


def unknown(machine: Machine, names: frozenset[str]) -> tuple[str, ...]:
    """Those of the names that nothing here has, sorted."""
    known = {NETWORK}
    for kind, objects in (("workload", machine.workloads), ("volume", machine.volumes), ("image", machine.images)):
        known |= {*objects, *(f"{kind}/{name}" for name in objects)}
    known |= {one.object for one in _images(machine)} | {one.object.partition("/")[2] for one in _images(machine)}
    return tuple(sorted(names - known))


def _all(machine: Machine) -> Iterator[Difference]:
    for _, workload in sorted(machine.workloads.items()):
        yield from _workload(machine, workload)
    for _, volume in sorted(machine.volumes.items()):
        yield from _volume(machine, volume)
    yield from _network(machine)
    yield from _images(machine)


# --- foreign -----------------------------------------------------------------------------------------------------


def foreign(machine: Machine) -> Iterator[Difference]:
    """What another hand changed. Hardly any object is: they are told apart by what is quick to look at."""
    for workload in machine.workloads.values():
        if workload.unlinked is not None or (workload.run is not None and workload.run.foreign is not None):
            yield from _foreign_workload(workload)
    for volume in machine.volumes.values():
        if volume.foreign is not None:
            yield from _foreign_volume(volume)
    if machine.network.foreign is not None:
        yield from _foreign_network(machine)
    if machine.missing:
        yield from _images(machine)


def _difference(of: str, mark: Foreign, then: str, next_at: int = 0) -> Difference:
    what = {
        RUN: "it does not run",
        LINK: "it is not on the bridge",
        RULES: "bridge or rules are not as they are wanted",
        MOUNT: "it is not mounted",
        IMAGE: "it is gone",
    }.get(mark.aspect, "it cannot be used")
    return Difference(
        of, mark.aspect, Label.FOREIGN, what, mark.at, mark.seq, mark.what, then, next_at, repair=mark.repair
    )


def _foreign_workload(workload: Workload) -> Iterator[Difference]:
    if workload.desired != "running":
        return  # it is to end: what is left of it goes with it
    of, run, unlinked = f"workload/{workload.name}", workload.run, workload.unlinked
    word = f"`capsulectl start {workload.name}`"
    if run is not None and run.foreign is not None and _is_last(workload, run):
        if run.again:
            then, at = "another run follows", _next_at(workload)
        else:
            why = "drift: report" if workload.drift == "report" else f"restart: {workload.spec.restart.mode}"
            then, at = f"nothing follows ({why}): {word} begins another run", 0
        yield _difference(of, run.foreign, then, at)
    if unlinked is not None and is_bridged(workload):
        mended = "the link is made again"
        yield _difference(
            of, unlinked, mended if unlinked.repair else f"nothing follows (drift: report): {word} mends it"
        )


def _is_last(workload: Workload, run: Run) -> bool:
    """Whether nobody has asked for another run since it ended."""
    return run.phase not in LIVE and run.number > workload.superseded and run.revision == workload.revision


def _foreign_volume(volume: Volume) -> Iterator[Difference]:
    mark = volume.foreign
    if mark is None or volume.deleting:
        return
    if mark.aspect == MOUNT:
        left = f"nothing follows (drift: report): `capsulectl start {volume.holder}` mends it"
        then = "it is mounted again" if mark.repair else left
    elif volume.lost:
        then = "put its file back, or delete the volume"
    else:
        then = f"`capsulectl restart {volume.holder}` checks it and mounts it anew"
    yield _difference(f"volume/{volume.name}", mark, then)


def _foreign_network(machine: Machine) -> Iterator[Difference]:
    mark = machine.network.foreign
    if mark is None or not in_use(machine):
        return
    on_it = [workload for _, workload in sorted(machine.workloads.items()) if workload.address]
    left = all(rules_are_left(machine, workload) for workload in on_it)
    then = f"nothing follows (drift: report): `capsulectl start {on_it[0].name}` mends them"
    found = _difference(NETWORK, mark, then if left else "they are made again")
    yield msgspec.structs.replace(found, repair=not left)


def _images(machine: Machine) -> Iterator[Difference]:
    for digest, mark in sorted(machine.missing.items()):
        users = [
            workload
            for _, workload in sorted(machine.workloads.items())
            if workload.spec.image.index_digest == digest and workload.desired == "running"
        ]
        if users:
            ref = users[0].spec.image.ref
            who = ", ".join(workload.name for workload in users)
            then = f"the next run of {who} has it pulled; one that no registry has, `capsulectl image push` brings back"
            yield _difference(f"image/{ref}", mark, then)


# --- workloads ---------------------------------------------------------------------------------------------------


def _workload(machine: Machine, workload: Workload) -> Iterator[Difference]:
    marks = tuple(_foreign_workload(workload))
    yield from marks
    waiting = waits(machine, workload)
    of, trouble = f"workload/{workload.name}", due_trouble(workload, waiting)
    if trouble is not None:
        yield _failed(of, RUN if not marks else trouble.effect, trouble, workload.hold_until_wall)
    elif not any(mark.aspect == RUN for mark in marks):
        yield from _on_its_way(machine, workload, waiting)


def _failed(of: str, aspect: str, trouble: Trouble, next_at: int = 0) -> Difference:
    then = (
        "nothing is tried again: change what it says, or apply it again" if trouble.permanent else "it is tried again"
    )
    return Difference(
        of, aspect, Label.EFFECT_FAILED, f"{trouble.effect} failed", trouble.at, trouble.seq,
        one_line(trouble.message), then, next_at, repair=not trouble.permanent,
    )  # fmt: skip


def _on_its_way(machine: Machine, workload: Workload, waiting: str) -> Iterator[Difference]:
    """What was asked for of its runs, and is not so yet, or stays so because it was asked for."""
    run = workload.run
    ended = run is None or run.phase not in LIVE
    seq, since, message, at = workload.word_seq, workload.word_at, "", 0
    match workload.desired:
        case "deleting":
            what, then = "it is being deleted", "nothing of it is left"
        case "stopped" if ended:
            what, then = "it is stopped", f"`capsulectl start {workload.name}` lets it run"
        case "stopped":
            what, then = "it is stopping", "it is stopped"
        case "running" if run is None:
            what, then = "it has not run yet", "its first run begins"
        case _:
            assert run is not None
            fresh = run.number <= workload.superseded or run.revision != workload.revision
            if run.phase is RunPhase.RUNNING and not fresh and not run.ailing:
                return
            if ended and not (fresh or run.again):
                return  # it ended by itself, and its policy leaves it so
            what, then = _between(workload, run, fresh)
            if ended and not fresh:
                seq, since, message, at = run.ended_seq, run.finished_at, how_it_ended(run), _next_at(workload)
    if waiting and workload.desired == "running" and (ended or workload.trouble is not None):
        gone = taken_away(machine, workload)
        then = "it begins once it is applied again" if gone else "it begins as soon as that is so"
        message = waiting
    yield Difference(f"workload/{workload.name}", RUN, Label.INTENDED, what, since, seq, message, then, at)


def _between(workload: Workload, run: Run, fresh: bool) -> tuple[str, str]:
    """Between what runs or ran, and what is to run: how it stands, and what follows."""
    match run.phase:
        case RunPhase.STARTING:
            return "it is starting", "it runs"
        case RunPhase.RUNNING | RunPhase.STOPPING:
            if run.ailing:
                what = "it is unhealthy and is to end"
            elif run.revision != workload.revision:
                what = "it is not as it is declared now"
            else:
                what = "it is to begin anew" if fresh else "it is stopping"
            return what, "another run follows"
        case RunPhase.EXITED | RunPhase.LOST:
            return "it does not run", "another run follows"


def _next_at(workload: Workload) -> int:
    return max(workload.hold_until_wall, workload.pause_until_wall)


# --- volumes and the network -------------------------------------------------------------------------------------


def _volume(machine: Machine, volume: Volume) -> Iterator[Difference]:
    marks = tuple(_foreign_volume(volume))
    yield from marks
    of = f"volume/{volume.name}"
    if volume.trouble is not None and is_wanted(volume, volume.trouble):
        yield _failed(of, volume.trouble.effect, volume.trouble)
        return
    if marks:
        return
    seq, since = volume.desired_seq, volume.word_at
    if volume.deleting:
        what, then = "it is being deleted", "nothing of it is left"
    elif volume.restoring:
        what, then = "it is being restored", "its content is the snapshot's"
    elif volume.made_bytes < volume.size_bytes:
        what, then = f"it is being {'grown' if volume.made_bytes else 'made'}", "it has its size"
    elif (snapshot := due_snapshot(volume)) is not None:
        what, then = f"snapshot {snapshot.label} is being taken", "the snapshot is there"
        seq, since = snapshot.uid, snapshot.requested_at
    elif any(one.leaving for one in volume.snapshots):
        what, then = "snapshots of it are being deleted", "they are gone"
    else:
        return
    yield Difference(of, "storage", Label.INTENDED, what, since, seq, then=then)


def _network(machine: Machine) -> Iterator[Difference]:
    network = machine.network
    marks = tuple(_foreign_network(machine))
    yield from marks
    if not marks and in_use(machine) and network.ensured_seq < network.changed_seq:
        what, then = "its rules are not those of the present declarations", "they are made so"
        yield Difference(NETWORK, RULES, Label.INTENDED, what, 0, network.changed_seq, then=then)


# --- telling -----------------------------------------------------------------------------------------------------


MARKING: frozenset[type[Event]] = frozenset(
    {
        WorkloadExited,
        WorkloadLost,
        NetworkDrifted,
        VolumeDrifted,
        VolumeLost,
        ImageLost,
        WorkloadApplied,
        WorkloadStartRequested,
    }
)
"""While nothing was told that could be taken back, only entries of these kinds bring something to tell."""


def news(machine: Machine) -> tuple[DriftFound | DriftResolved, ...]:
    """What is to be told of another hand's changes, and was not yet: those that came, those that are no more."""
    now = {one.key: one for one in foreign(machine)}
    resolved = (
        DriftResolved(*_split(key), observed=seq, how=_how(machine, key))
        for key, seq in machine.drifts.items()
        if key not in now or now[key].seq != seq
    )
    found = (
        DriftFound(*_split(key), observed=one.seq, what=one.message, repair=one.repair)
        for key, one in now.items()
        if machine.drifts.get(key) != one.seq
    )
    return (*resolved, *found)


def _split(key: DriftKey) -> tuple[str, str, str]:
    """Kind, name and aspect."""
    kind, _, name = key[0].partition("/")
    return kind, name, key[1]


def _how(machine: Machine, key: DriftKey) -> Literal["repaired", "dropped"]:
    """Whether what differed is as it is wanted, or nobody wants it any more."""
    kind, _, name = key[0].partition("/")
    workload, volume = machine.workloads.get(name), machine.volumes.get(name)
    match kind:
        case "workload":
            wanted = workload is not None and workload.desired == "running"
        case "volume":
            wanted = volume is not None and not volume.deleting
        case "image":
            wanted = any(one.spec.image.ref == name for one in machine.workloads.values())
        case _:
            wanted = in_use(machine)
    return "repaired" if wanted else "dropped"


# --- the fold ----------------------------------------------------------------------------------------------------


def object_of(event: DriftFound | DriftResolved) -> str:
    """The object as it stands in a difference."""
    return f"{event.kind}/{event.name}" if event.name else event.kind


def found(machine: Machine, header: Header, event: DriftFound) -> None:
    """It was told of."""
    machine.drifts[object_of(event), event.aspect] = event.observed


def resolved(machine: Machine, header: Header, event: DriftResolved) -> None:
    """It was taken back."""
    machine.drifts.pop((object_of(event), event.aspect), None)


HANDLERS: Handlers = {DriftFound: found, DriftResolved: resolved}
