"""The planner: from the state (wanted and observed) to the goals that are not reached yet. Pure.

One goal a workload at a time: the next follows from the state that the first one leads to. An empty plan means that
the machine is as its operators want it.
"""

from msgspec.structs import replace

from effects.goals import (
    AttachNetwork,
    CleanRun,
    DetachNetwork,
    Effect,
    EnsureImage,
    EnsureNetwork,
    RemoveWorkload,
    StartRun,
    StopRun,
    kind_of,
)
from effects.secret_planner import plan_files, plan_no_files
from effects.volume_planner import plan_mounts, plan_release, plan_remount, plan_volume
from projections.dependencies import awaited, users_left, waits
from projections.foreign import rules_are_left
from projections.network import in_use, is_bridged, wanted_mappings
from projections.phases import LIVE, RunPhase
from projections.secrets import values_for
from projections.state import Machine, Workload
from projections.volumes import held_by, is_awaited


def plan(machine: Machine) -> tuple[Effect, ...]:
    """Every volume's and every workload's next goal, by name."""
    volumes = (plan_volume(machine.volumes[name]) for name in sorted(machine.volumes))
    workloads = (plan_workload(machine, machine.workloads[name]) for name in sorted(machine.workloads))
    return tuple(goal for goal in (*volumes, *workloads) if goal is not None)


def plan_object(machine: Machine, key: str) -> Effect | None:
    """The next goal of one object: a workload by its name, a volume by `volume/NAME`."""
    kind, slash, name = key.partition("/")
    if slash:
        assert kind == "volume"
        volume = machine.volumes.get(name)
        return None if volume is None else plan_volume(volume)
    workload = machine.workloads.get(key)
    return None if workload is None else plan_workload(machine, workload)


def awaited_by(machine: Machine, key: str) -> tuple[str, ...]:
    """The workloads whose change may give this object something to do, for which nothing is due now."""
    workload = machine.workloads.get(key)
    return () if workload is None else awaited(machine, workload)


def plan_workload(machine: Machine, workload: Workload) -> Effect | None:
    """The workload's next goal, or None when nothing is due."""
    trouble = workload.trouble
    attempt = 1 if trouble is None else trouble.attempt + 1
    run = workload.run
    image = _plan_image(machine, workload, attempt)
    if run is not None and run.phase in LIVE and _unwanted(workload):
        awaited_volume = any(map(is_awaited, held_by(machine, workload)))
        if image is not None and run.phase is not RunPhase.STOPPING and not awaited_volume:
            return _plan_former(machine, workload, image, attempt)
        if users_left(machine, workload):
            return None
        # A start that never came to life is ended like any run: the driver looks, and finds what there is.
        grace_ms = workload.spec.stop_grace_ms
        again = workload.retry_of("StopRun")
        return StopRun(workload.name, workload.uid, run.number, grace_ms, again, attempt, workload.kind)
    release = plan_release(machine, workload, attempt)
    if release is not None:
        return release
    number = _due_run(workload)
    no_files = plan_no_files(workload, number is not None, attempt)
    if no_files is not None:
        return no_files
    network = _plan_network(machine, workload, attempt)
    if network is not None:
        return network
    if workload.desired == "deleting":
        return RemoveWorkload(workload.name, workload.uid, workload.retry, attempt, workload.kind)
    if run is not None and run.phase not in LIVE and not run.cleaned:
        again = workload.retry_of("CleanRun")
        return CleanRun(workload.name, workload.uid, run.number, again, attempt, workload.kind)
    if trouble is not None and trouble.permanent:
        return None
    if number is None:
        files = plan_files(machine, workload, attempt) if run is not None and run.phase in LIVE else None
        return files or plan_remount(machine, workload, attempt)
    if image is not None:
        return image
    if waits(machine, workload):
        return None
    mount = plan_mounts(machine, workload, attempt)
    if mount is not None:
        return mount
    files = plan_files(machine, workload, attempt)
    if files is not None:
        return files
    return StartRun(
        name=workload.name,
        uid=workload.uid,
        run=number,
        revision=workload.revision,
        spec=workload.spec,
        not_before=workload.next_start,
        attempt=attempt,
        address=workload.address,
        secret_env=values_for(machine, workload.spec),
    )


def _plan_former(machine: Machine, workload: Workload, image: EnsureImage, attempt: int) -> Effect | None:
    """What is due of a run that is to be replaced and goes on until its successor can begin: also when the image of
    that can never be had. What fails of mending it and the image take turns, each after the other's pause; an image
    that is given up has no turn. Trouble with anything else, the start of this very run above all, does not give it up.
    """
    trouble = workload.trouble
    given_up = trouble is not None and trouble.permanent and trouble.effect == "EnsureImage"
    mends = _plan_mending(machine, workload, attempt)
    if mends is not None and (trouble is None or trouble.effect != kind_of(mends)):
        return mends
    return None if given_up else replace(image, not_before=workload.retry)


def _plan_mending(machine: Machine, workload: Workload, attempt: int) -> Effect | None:
    """Secrets' files of a run that is to be replaced, as they are now, and what another hand took from it, if it is to
    be mended. What else is wanted of its network is its successor's: it keeps what that will not have."""
    files = plan_files(machine, workload, attempt)
    if files is not None:
        return replace(files, not_before=workload.retry)
    link = workload.unlinked
    if workload.address and machine.network.foreign is not None and not rules_are_left(machine, workload):
        return _rules(machine, workload, attempt)
    if link is not None and link.repair and is_bridged(workload):
        return _link(workload, attempt)
    return plan_remount(machine, workload, attempt)


def _plan_image(machine: Machine, workload: Workload, attempt: int) -> EnsureImage | None:
    """The image that the workload is to run from, as long as it is not here, or not under its name."""
    pin = workload.spec.image
    if workload.desired != "running" or not workload.spec.has_image:
        return None
    if pin.index_digest in machine.cached and not workload.asked:
        return None
    return EnsureImage(workload.name, workload.uid, pin, workload.asked, workload.retry_of("EnsureImage"), attempt)


def _plan_network(machine: Machine, workload: Workload, attempt: int) -> Effect | None:
    """What is due of the network, once nothing lives that should not. The rules first: they bring the bridge. What
    another hand changed and the policy leaves so, a run that begins has mended all the same."""
    if not workload.address:
        return None
    network, begins = machine.network, _due_run(workload) is not None
    left = rules_are_left(machine, workload) and not begins
    if network.ensured_seq < network.changed_seq and not (left or _may_leave(machine, workload)):
        return _rules(machine, workload, attempt)
    if not is_bridged(workload):
        return DetachNetwork(workload.name, workload.uid, workload.retry, attempt)
    unlinked = workload.unlinked
    left = unlinked is not None and not unlinked.repair and not begins
    if workload.desired == "running" and not (workload.attached or left):
        return _link(workload, attempt)
    return None


def _rules(machine: Machine, workload: Workload, attempt: int) -> EnsureNetwork:
    upto, mappings = machine.network.changed_seq, wanted_mappings(machine)
    return EnsureNetwork(workload.name, workload.uid, upto, mappings, workload.retry, attempt)


def _link(workload: Workload, attempt: int) -> AttachNetwork:
    return AttachNetwork(workload.name, workload.uid, workload.address, workload.retry, attempt, workload.kind)


def _may_leave(machine: Machine, workload: Workload) -> bool:
    """Whether a workload that is being deleted need not wait for the rules: with the last one the whole table goes, and
    rules that cannot be made hold nobody here."""
    trouble = workload.trouble
    stuck = trouble is not None and trouble.effect == "EnsureNetwork"
    return workload.desired == "deleting" and (stuck or not in_use(machine, but=workload.name))


def _unwanted(workload: Workload) -> bool:
    run = workload.run
    assert run is not None
    return (
        workload.desired != "running"
        or run.number <= workload.superseded
        or run.revision != workload.revision
        or run.phase is RunPhase.STOPPING
        or run.ailing
    )


def _due_run(workload: Workload) -> int | None:
    """The number of the run that should be brought to life now, or None."""
    run = workload.run
    if workload.desired != "running":
        return None
    if run is None:
        return 1
    match run.phase:
        case RunPhase.STARTING:
            return run.number
        case RunPhase.RUNNING | RunPhase.STOPPING:
            return None
        case RunPhase.EXITED | RunPhase.LOST:
            fresh = run.number <= workload.superseded or run.revision != workload.revision
            return run.number + 1 if fresh or run.again else None
