"""What another hand changed: marked where it was observed, and mended or left as the object's policy says. Pure.

A mark goes when what it tells of is so no more. With the policy `report` it waits for an operator's word about the
workload (an apply, a start, a restart), or for a run that begins anyway: that begins whole.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from journal.entry import Header
from journal.specs import DriftPolicy
from projections.state import Foreign, Machine, Volume, Workload

RUN, LINK, RULES, MOUNT, FILE_SYSTEM, STORAGE, IMAGE = (
    "run", "link", "rules", "mount", "file-system", "storage", "image",
)  # fmt: skip
"""Aspects. A volume that is not in the storage, a file system that broke and an image are for operators to mend."""


def marked(header: Header, aspect: str, what: str, policy: DriftPolicy) -> Foreign:
    """The mark of what this entry tells of."""
    return Foreign(aspect, what, header.seq, header.at, repair=policy == "repair")


def waits_for_word(machine: Machine, workload: Workload) -> bool:
    """Whether something that another hand changed about what goes on is left so until an operator says more."""
    marks = (workload.unlinked, _rules(machine, workload), *(volume.foreign for volume in _volumes(machine, workload)))
    return any(mark is not None and mark.aspect != FILE_SYSTEM and not mark.repair for mark in marks)


def lift(machine: Machine, workload: Workload) -> None:
    """An operator's word about the workload, which stands in the state: what was left as it is, is mended."""
    if workload.unlinked is not None:
        machine.workloads[workload.name] = replace(workload, unlinked=replace(workload.unlinked, repair=True))
    rules = _rules(machine, workload)
    if rules is not None:
        machine.network = replace(machine.network, foreign=replace(rules, repair=True))
    for volume in _volumes(machine, workload):
        if volume.foreign is not None:
            machine.volumes[volume.name] = replace(volume, foreign=replace(volume.foreign, repair=True))


def rules_are_left(machine: Machine, workload: Workload) -> bool:
    """Whether bridge and rules are not as they are wanted only by another hand, and this workload leaves that so. One
    that does not is enough to have them mended: they are everybody's."""
    mark = machine.network.foreign
    alone = mark is not None and mark.seq == machine.network.changed_seq
    return mark is not None and alone and not mark.repair and workload.drift == "report"


def _rules(machine: Machine, workload: Workload) -> Foreign | None:
    return machine.network.foreign if workload.address and rules_are_left(machine, workload) else None


def _volumes(machine: Machine, workload: Workload) -> Iterator[Volume]:
    """Those that are mounted for it."""
    for mount in workload.spec.mounts:
        volume = machine.volumes.get(mount.volume_name)
        if volume is not None and (volume.holder, volume.holder_uid) == (workload.name, workload.uid):
            yield volume
