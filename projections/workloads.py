"""Workloads: what was declared, and what became of it."""

from typing import Any

from msgspec.structs import replace

from journal.entry import Header
from journal.events import (
    AppliedWorkload,
    WorkloadApplied,
    WorkloadDeleteRequested,
    WorkloadExited,
    WorkloadHealthChanged,
    WorkloadLost,
    WorkloadOomKilled,
    WorkloadRemoved,
    WorkloadRestartRequested,
    WorkloadStable,
    WorkloadStarted,
    WorkloadStartRequested,
    WorkloadStopRequested,
)
from projections import network
from projections.foreign import RUN, lift
from projections.handlers import Handlers
from projections.phases import BY_MOVE, LIVE, RunMove, RunPhase
from projections.state import Deadline, Desired, Foreign, Machine, Revision, Run, Workload
from projections.troubles import relieved

_STARTED, _EXITED, _LOST = (BY_MOVE[move] for move in (RunMove.START, RunMove.EXIT, RunMove.LOSE))

REVISIONS_KEPT = 5
"""Garbage collection of images keeps the digests of so many revisions of each workload."""

NOW: dict[str, Any] = {"hold": None, "hold_until_wall": 0, "pause": None, "pause_until_wall": 0}
"""Whatever was waited for is not waited for any more. Handlers of what happens often write these fields out: to copy a
record takes twice as long when some of its changes come as a mapping."""


def incarnation(machine: Machine, name: str, uid: int) -> Workload | None:
    """The workload, if the event speaks of the incarnation that exists."""
    workload = machine.workloads.get(name)
    return workload if workload is not None and workload.uid == uid else None


def _my_run(machine: Machine, name: str, uid: int, number: int) -> tuple[Workload, Run] | None:
    """The workload and its present run, if the event speaks of just these."""
    workload = machine.workloads.get(name)
    if workload is None or workload.uid != uid:
        return None
    run = workload.run
    return None if run is None or run.number != number else (workload, run)


def applied(machine: Machine, header: Header, event: WorkloadApplied) -> None:
    """Create, change or only start each workload of the batch."""
    machine.desired_seq = header.seq
    for item in event.items:
        before = machine.workloads.get(item.name)
        after = machine.workloads[item.name] = _apply(before, header, _pinned(machine, item))
        if before is None or not _only_labels(before, item):
            network.touch(machine, header, before, after)
        lift(machine, after)


def _pinned(machine: Machine, item: AppliedWorkload) -> AppliedWorkload:
    """Mounts of volumes that the same call made could not be pinned before; now those are in the state."""
    if not item.container.mounts or all(mount.volume_uid for mount in item.container.mounts):
        return item
    mounts = tuple(
        replace(one, volume_uid=machine.volumes[one.volume_name].uid)
        if not one.volume_uid and one.volume_name in machine.volumes
        else one
        for one in item.container.mounts
    )
    return replace(item, container=replace(item.container, mounts=mounts))


def _apply(before: Workload | None, header: Header, item: AppliedWorkload) -> Workload:
    if before is None:
        return Workload(
            name=item.name,
            uid=header.seq,
            kind=item.kind,
            spec=item.container,
            revision=header.seq,
            desired_seq=header.seq,
            word_seq=header.seq,
            word_at=header.at,
            created_at=header.at,
            desired=item.desired,
            labels=item.labels,
            depends_on=item.depends_on,
            drift=item.drift,
            revisions=(_revision(header, item),),
            address=item.address,
            asked=item.asked,
        )
    if _only_labels(before, item):
        return replace(
            before,
            labels=item.labels,
            depends_on=item.depends_on,
            drift=item.drift,
            desired_seq=header.seq,
            word_seq=header.seq,
            word_at=header.at,
            asked=before.asked or item.asked,
        )
    revision, revisions, run = before.revision, before.revisions, before.run
    if item.changed:
        revision = header.seq
        if run is not None and run.spec is None and not run.cleaned:
            # It may go on for long: what replaces it has to be fetched first. Who may reach inside is judged by it.
            run = replace(run, spec=before.spec)
        revisions = (*revisions, _revision(header, item))[-REVISIONS_KEPT:]
    # An apply is the operator's fresh word: whatever back-off was running is over.
    return replace(
        before,
        superseded=_supersede(before, item.changed or item.desired == "stopped"),
        kind=item.kind,
        spec=item.container,
        labels=item.labels,
        depends_on=item.depends_on,
        drift=item.drift,
        desired=item.desired,
        revision=revision,
        revisions=revisions,
        run=run,
        desired_seq=header.seq,
        word_seq=header.seq,
        word_at=header.at,
        streak=0,
        hold=None,
        hold_until_wall=0,
        pause=None,
        pause_until_wall=0,
        trouble=None,
        address=item.address or before.address,
        asked=item.asked or (before.asked and item.container.image == before.spec.image),
        pulling=False,
    )


def _revision(header: Header, item: AppliedWorkload) -> Revision:
    return Revision(header.seq, item.container.image, tuple(variable.sealed for variable in item.container.env))


def _only_labels(before: Workload, item: AppliedWorkload) -> bool:
    """Whether nothing that runs, or tries to, is meant; nor a job that is done, whatever it has trouble with and what
    of it is to be mended."""
    if item.completed:
        return True
    alive = before.run is not None and before.run.phase in LIVE and before.trouble is None
    told = (item.relabelled or item.reordered or item.policed) and not item.changed
    return told and before.desired == item.desired and (alive or item.desired == "stopped")


def _supersede(workload: Workload, ends_run: bool) -> int:
    """The number up to which runs are unwanted from now: a run that ended is never the wanted one again."""
    run = workload.run
    if run is None or not (ends_run or run.phase not in LIVE):
        return workload.superseded
    return run.number


def _want(machine: Machine, header: Header, name: str, uid: int, desired: Desired) -> None:
    workload = incarnation(machine, name, uid)
    if workload is not None:
        machine.desired_seq = header.seq
        after = machine.workloads[name] = replace(
            workload,
            superseded=_supersede(workload, desired != "running"),
            desired=desired,
            desired_seq=header.seq,
            word_seq=header.seq,
            word_at=header.at,
            streak=0,
            hold=None,
            hold_until_wall=0,
            pause=None,
            pause_until_wall=0,
            trouble=None,
        )
        network.touch(machine, header, workload, after)
        if desired == "running":
            lift(machine, after)


def stop_requested(machine: Machine, header: Header, event: WorkloadStopRequested) -> None:
    """Stopped, over reboots."""
    _want(machine, header, event.name, event.uid, "stopped")


def start_requested(machine: Machine, header: Header, event: WorkloadStartRequested) -> None:
    """Running, from now."""
    _want(machine, header, event.name, event.uid, "running")


def delete_requested(machine: Machine, header: Header, event: WorkloadDeleteRequested) -> None:
    """Deleting cannot be taken back: from here the incarnation only ends."""
    _want(machine, header, event.name, event.uid, "deleting")


def restart_requested(machine: Machine, header: Header, event: WorkloadRestartRequested) -> None:
    """The desired state stays; the present run is not the wanted one any more."""
    workload = incarnation(machine, event.name, event.uid)
    if workload is not None:
        machine.workloads[event.name] = replace(
            workload,
            superseded=_supersede(workload, ends_run=True),
            restarts=workload.restarts + 1,
            word_seq=header.seq,
            word_at=header.at,
            streak=0,
            **NOW,
            trouble=None,
        )
        lift(machine, machine.workloads[event.name])


def started(machine: Machine, header: Header, event: WorkloadStarted) -> None:
    """The run's process exists."""
    mine = _my_run(machine, event.name, event.uid, event.run)
    if mine is None:
        return
    workload, run = mine
    phase = _STARTED.get(run.phase)
    if phase is not None:
        run = replace(
            run,
            phase=phase,
            pid=event.pid,
            started_at=header.at,
            started_mono=header.mono,
            boot=header.boot,
            accelerator=event.accelerator,
        )
        machine.workloads[event.name] = replace(
            workload, run=run, trouble=None, hold=None, hold_until_wall=0, pause=None, pause_until_wall=0
        )


def exited(machine: Machine, header: Header, event: WorkloadExited) -> None:
    """The run ended; the policy's verdict stands in the event."""
    mine = _my_run(machine, event.name, event.uid, event.run)
    if mine is None:
        return
    workload, run = mine
    phase = _EXITED.get(run.phase)
    if phase is None:
        return
    run = replace(
        run,
        phase=phase,
        pid=0,
        exit_code=event.exit_code,
        oom=event.oom,
        finished_at=event.exited_at or header.at,
        again=event.restart,
        gave_up=event.gave_up,
        oom_kills=event.oom_kills,
        memory_limit_bytes=event.memory_limit_bytes,
        unexecutable=event.unexecutable,
        ended_seq=header.seq,
        foreign=_foreign(header, event, "killed"),
        fault=event.fault,
        fault_text=event.fault_text,
    )
    after = machine.workloads[event.name] = _judged(workload, run, header, event)
    network.run_over(machine, header, workload, after)


def _judged(workload: Workload, run: Run, header: Header, event: WorkloadExited | WorkloadLost) -> Workload:
    """The workload after an end, as the policy's verdict in the event says."""
    delay_ns = event.restart_delay_ms * 1_000_000 if event.restart else 0
    deadline = Deadline(header.boot, header.mono + delay_ns) if delay_ns else None
    wall = header.at + delay_ns if delay_ns else 0
    return replace(
        _run_over(workload),
        run=run,
        streak=event.streak,
        restarts=workload.restarts + bool(event.restart),
        hold=deadline,
        hold_until_wall=wall,
        pause=deadline,
        pause_until_wall=wall,
    )


def health_changed(machine: Machine, header: Header, event: WorkloadHealthChanged) -> None:
    """Its check says something else; whether the run is to end for it stands in the event."""
    mine = _my_run(machine, event.name, event.uid, event.run)
    if mine is not None and mine[1].phase is RunPhase.RUNNING:
        workload, run = mine
        run = replace(
            run,
            health=event.health,
            health_at=header.at,
            health_message=event.message,
            ailing=run.ailing or event.restart,
        )
        machine.workloads[event.name] = replace(workload, run=run)


def stable(machine: Machine, header: Header, event: WorkloadStable) -> None:
    """The run goes on, and whatever ended before it is not in a row with its end."""
    mine = _my_run(machine, event.name, event.uid, event.run)
    if mine is not None:
        machine.workloads[event.name] = replace(mine[0], streak=0)


def oom_killed(machine: Machine, header: Header, event: WorkloadOomKilled) -> None:
    """Some of the run's processes were killed, and it goes on."""
    mine = _my_run(machine, event.name, event.uid, event.run)
    if mine is not None:
        workload, run = mine
        run = replace(run, oom_kills=event.kills, memory_limit_bytes=event.memory_limit_bytes)
        machine.workloads[event.name] = replace(workload, run=run)


def lost(machine: Machine, header: Header, event: WorkloadLost) -> None:
    """The run is gone without an exit code."""
    mine = _my_run(machine, event.name, event.uid, event.run)
    if mine is None:
        return
    workload, run = mine
    phase = _LOST.get(run.phase)
    if phase is None:
        return
    run = replace(
        run,
        phase=phase,
        pid=0,
        reason=event.reason,
        finished_at=header.at,
        ended_seq=header.seq,
        foreign=_foreign(header, event, "removed"),
    )
    if event.restart is None:
        run = replace(run, again=workload.spec.restart.mode != "never")
        after = replace(_run_over(workload), run=run)
    else:
        run = replace(run, again=event.restart, gave_up=event.gave_up)
        after = _judged(workload, run, header, event)
    machine.workloads[event.name] = after
    network.run_over(machine, header, workload, after)


def _foreign(header: Header, event: WorkloadExited | WorkloadLost, what: str) -> Foreign | None:
    """The mark of a run that another hand ended. Whether another follows is the restart policy's to say."""
    if not event.foreign:
        return None
    return Foreign(
        RUN, f"run {event.run} was {what} by another hand", header.seq, header.at, repair=bool(event.restart)
    )


def _run_over(workload: Workload) -> Workload:
    """Whatever its start, its stop, or what it needed while it ran had trouble with: with the run the goal is gone, and
    the next one has its own."""
    return relieved(workload, "StartRun", "StopRun", "MountVolume", "EnsureSecretFiles")


def removed(machine: Machine, header: Header, event: WorkloadRemoved) -> None:
    """The incarnation is over."""
    if incarnation(machine, event.name, event.uid) is not None:
        machine.desired_seq = header.seq
        del machine.workloads[event.name]


HANDLERS: Handlers = {
    WorkloadApplied: applied,
    WorkloadStopRequested: stop_requested,
    WorkloadStartRequested: start_requested,
    WorkloadRestartRequested: restart_requested,
    WorkloadDeleteRequested: delete_requested,
    WorkloadStarted: started,
    WorkloadExited: exited,
    WorkloadOomKilled: oom_killed,
    WorkloadHealthChanged: health_changed,
    WorkloadStable: stable,
    WorkloadLost: lost,
    WorkloadRemoved: removed,
}
