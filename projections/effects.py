"""Effects as the journal tells of them: what the work on a workload's goals, or on a volume's, came to."""

from msgspec.structs import replace

from journal.entry import Header
from journal.events import EffectAbandoned, EffectDone, EffectFailed, EffectStarted
from projections import volumes
from projections.handlers import Handlers
from projections.phases import BY_MOVE, RunMove, RunPhase
from projections.state import Deadline, Machine, Run, Trouble, Workload
from projections.troubles import relieved
from projections.workloads import incarnation

_STOPPED = BY_MOVE[RunMove.STOP]
_STARTING = RunPhase.STARTING  # an enumeration's member takes as long to look up as a handler's whole comparison
_ENDINGS = frozenset({"StopRun", "CleanRun"})
_BESIDE = frozenset({"EnsureNetwork", "AttachNetwork", "MountVolume", "EnsureSecretFiles"})
"""What is done for a run that lives, or before one begins, also while the image of the next is given up."""


def effect_started(machine: Machine, header: Header, event: EffectStarted) -> None:
    """A start allots the run; a stop marks it, so that its exit is not taken for a crash."""
    name, effect = event.name, event.effect
    workload = machine.workloads.get(name)
    if workload is None or workload.uid != event.uid:
        return
    pulling = effect == "EnsureImage"
    if workload.pulling != pulling:
        workload = machine.workloads[name] = replace(workload, pulling=pulling)
    run = workload.run
    if effect == "StartRun" and (run is None or event.run > run.number):
        fresh = Run(event.run, event.revision, _STARTING, boot=header.boot)
        machine.workloads[name] = replace(workload, run=fresh, last_run=run)
    elif effect == "EnsureSecretFiles":
        machine.workloads[name] = replace(workload, secret_traces=True)
    elif effect == "StopRun" and run is not None and event.run == run.number:
        phase = _STOPPED.get(run.phase)
        if phase is not None:
            machine.workloads[name] = replace(workload, run=replace(run, phase=phase))


def effect_done(machine: Machine, header: Header, event: EffectDone) -> None:
    """What was due is done: the trouble with it is over."""
    name, effect = event.name, event.effect
    before = machine.workloads.get(name)
    if before is None or before.uid != event.uid:
        volumes.done(machine, event)
        return
    after = relieved(before, effect)
    if (given_up := _given_up(before, effect)) is not None:
        after = replace(after, trouble=replace(given_up, attempt=1), hold=None)
    if effect == "EnsureImage":
        after = replace(after, pulling=False, asked=False)
    elif effect in _ENDINGS:
        run = before.run
        if run is not None and run.number == event.run:
            after = replace(after, run=replace(run, cleaned=True))
    if after is not before:
        machine.workloads[name] = after


def effect_failed(machine: Machine, header: Header, event: EffectFailed) -> None:
    """Hold the next try back as the event says."""
    delay_ns = event.retry_delay_ms * 1_000_000
    hold = Deadline(header.boot, header.mono + delay_ns) if delay_ns else None
    trouble = Trouble(
        effect=event.effect,
        reason=event.reason,
        message=event.message,
        at=header.at,
        attempt=event.attempt,
        retry_delay_ms=event.retry_delay_ms,
        permanent=event.permanent,
        snapshot=event.snapshot,
        size_bytes=event.size_bytes,
        seq=header.seq,
    )
    workload = incarnation(machine, event.name, event.uid)
    if workload is None:
        volumes.failed(machine, event, trouble, hold)
        return
    given_up = _given_up(workload, event.effect)
    if given_up is not None:
        machine.workloads[event.name] = replace(workload, hold=hold, trouble=replace(given_up, attempt=event.attempt))
        return
    machine.workloads[event.name] = replace(
        workload,
        hold=hold,
        hold_until_wall=header.at + delay_ns if delay_ns else 0,
        trouble=trouble,
        pulling=False,
    )


def _given_up(workload: Workload, effect: str) -> Trouble | None:
    """The trouble with an image that can never be had, if this effect is done beside it: whatever comes of that, the
    image stays given up. The tries are those of the effect then, and so is `hold`."""
    trouble = workload.trouble
    if trouble is None or not trouble.permanent or trouble.effect != "EnsureImage":
        return None
    return trouble if effect in _BESIDE else None


def effect_abandoned(machine: Machine, header: Header, event: EffectAbandoned) -> None:
    """Nobody is at it any more."""
    workload = incarnation(machine, event.name, event.uid)
    if workload is not None and workload.pulling:
        machine.workloads[event.name] = replace(workload, pulling=False)


HANDLERS: Handlers = {
    EffectStarted: effect_started,
    EffectDone: effect_done,
    EffectAbandoned: effect_abandoned,
    EffectFailed: effect_failed,
}
