"""Admission of what is to be forgotten: where history may begin, and whose content may go. Pure.

What the fold begins with afterwards is the state itself, so an entry's content may go once the state does not say it
any more: a value that was mistyped is declared anew first.
"""

from collections.abc import Iterator

from journal.events import (
    AppliedWorkload,
    Event,
    JournalCheckpointed,
    JournalExcised,
    WorkloadApplied,
    WorkloadHealthChanged,
)
from journal.specs import ContainerSpec
from projections.intents import Checkpoint
from projections.refusals import Refusal, conflict, invalid
from projections.state import Machine, Volume, Workload
from projections.updates import unconfirmed

EXCISED_MOST = 1_000


def admit_checkpoint(machine: Machine, call: Checkpoint) -> tuple[Event, ...] | Refusal:
    """The events of the call, or why it is refused."""
    if unconfirmed(machine):
        return conflict(
            "TENTATIVE",
            "what runs is not confirmed, and the system before may have to read what the fold begins with: `capsulectl "
            "update confirm` or `capsulectl update rollback` first",
        )
    checkpoint = JournalCheckpointed(call.upto, call.view, call.state_hash, call.head_hash, call.exported_to)
    if call.upto <= machine.checkpoint:
        message = f"the fold begins behind entry {machine.checkpoint} already: name one that is newer"
        return conflict("BEGINS_LATER", message, "upto")
    if not call.excised:
        return (checkpoint,)
    if len(call.excised) > EXCISED_MOST:
        return invalid("TOO_MANY", f"name {EXCISED_MOST} entries at most at a time", "seqs")
    for seq, event in call.excised:
        if said := said_by(machine, seq, event):
            return conflict(
                "STILL_SO",
                f"{said} is as entry {seq} says: what it says cannot go before that is declared otherwise, and nothing "
                "runs from it",
                "seqs",
            )
    return (JournalExcised(tuple(seq for seq, _ in call.excised), call.reason), checkpoint)


def said_by(machine: Machine, seq: int, event: Event | None) -> str:
    """What the present state has from entry `seq`, which is `event`, in words; empty where it has nothing of it."""
    if isinstance(event, WorkloadApplied) and (name := _all_there(machine, event)):
        return f"workload {name}"
    for workload in machine.workloads.values():
        runs = [run for run in (workload.run, workload.last_run) if run is not None]
        told = [workload.revision, _failed(workload), *(one for run in runs for one in (run.revision, run.ended_seq))]
        if seq in told or _has_words_of(workload, event) or _has_labels_of(workload, seq, event):
            return f"workload {workload.name}"
    for secret in machine.secrets.values():
        if secret.uid == seq:
            return f"secret {secret.name}"
    for volume in machine.volumes.values():
        if seq in (volume.uid, _failed(volume)) or any(one.uid == seq for one in volume.snapshots):
            return f"volume {volume.name}"
    for ref, image in machine.images.items():
        if image.seq == seq:
            return f"image {ref}"
    for registry in machine.registries.values():
        if registry.seq == seq:
            return f"registry {registry.host}"
    for operator in machine.operators.values():
        if operator.seq == seq:
            return f"operator {operator.name}"
    return "a stream that is open" if seq in machine.streams else ""


def _failed(one: Workload | Volume) -> int:
    """The entry whose words stand in its trouble; 0 without one."""
    return 0 if one.trouble is None else one.trouble.seq


def _has_words_of(workload: Workload, event: Event | None) -> bool:
    """What a check said last of a run is remembered with the run, and names no entry."""
    if not isinstance(event, WorkloadHealthChanged) or workload.uid != event.uid or not event.message:
        return False
    runs = (run for run in (workload.run, workload.last_run) if run is not None)
    return any((run.number, run.health_message) == (event.run, event.message) for run in runs)


def _has_labels_of(workload: Workload, seq: int, event: Event | None) -> bool:
    """Labels change without a new revision, which has all of its own: what is older than that has none here."""
    if not isinstance(event, WorkloadApplied) or seq <= workload.revision:
        return False
    return any(one.name == workload.name and one.labels and one.labels == workload.labels for one in event.items)


def _all_there(machine: Machine, event: WorkloadApplied) -> str:
    """A workload of an apply of which all is so still, in whatever later revision; empty where something is not: which
    of its words is the mistyped one nobody tells, so it is taken to be among those that were declared otherwise."""
    there = ""
    for item in event.items:
        labels, texts = {*_labels(item)}, {*_texts(item.container)}
        if not labels and not texts:
            continue
        workload = machine.workloads.get(item.name)
        if workload is None:
            return ""
        runs = (run.spec for run in (workload.run, workload.last_run) if run is not None and run.spec is not None)
        runs_so = texts and any(texts <= {*_texts(spec)} for spec in runs)  # a run has no labels
        if not runs_so and not (labels <= {*_labels(workload)} and texts <= {*_texts(workload.spec)}):
            return ""
        there = there or item.name
    return there


def _labels(one: AppliedWorkload | Workload) -> Iterator[tuple[str, str]]:
    return (("label", f"{key}={value}") for key, value in one.labels)


def _texts(spec: ContainerSpec) -> Iterator[tuple[str, str]]:
    """What an operator wrote freely, each with what it is: there a value may stand that was not to be seen. Those of
    the environment are sealed, so only its names count."""
    for what, words in (
        ("argument", (*spec.command, *spec.args)),
        ("environment", (*(one.name for one in spec.env), *(one.name for one in spec.secret_env))),
        ("host", (f"{name} {address}" for name, address in spec.extra_hosts)),
        ("bind", (*spec.host_bind_paths, *(f"{one.source}:{one.mount_path}" for one in spec.host_binds))),
        ("check", () if spec.health is None else (*spec.health.command, spec.health.path)),
        ("kernel", () if spec.vm is None else (spec.vm.kernel_path, spec.vm.rootfs_path, spec.vm.cmdline_extra)),
        ("other", (spec.working_dir, spec.user, spec.hostname)),
    ):
        yield from ((what, word) for word in words if word)
