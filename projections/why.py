"""Why a workload or a volume is as it is: its phase in words, the chain that led there, and what to try next. Pure."""

import msgspec
from msgspec.structs import replace

from journal.events import (
    CallRefused,
    EffectFailed,
    EffectStarted,
    VolumeApplied,
    VolumeDeleteRequested,
    VolumeLost,
    VolumeRemoved,
    VolumeRestored,
    VolumeRestoreRequested,
    WorkloadExited,
    WorkloadHealthChanged,
    WorkloadLost,
    WorkloadRemoved,
    WorkloadStarted,
)
from journal.specs import VolumeMount
from projections.advice import (
    BY_DETAIL,
    BY_FAULT,
    BY_REASON,
    BY_REFUSAL,
    GUEST_OUT_OF_MEMORY,
    ILL_AGAIN,
    OTHER_REFUSAL,
    OUT_OF_MEMORY,
    VOLUME_GONE,
)
from projections.chain import Link, Past, chain, is_ailing, newest, refused, wished
from projections.dependencies import unready, waits
from projections.details import Detail
from projections.phases import LIVE
from projections.state import Machine, Trouble, Volume, Workload
from projections.status import Status, status_of
from projections.taken_along import left_behind, taken_run
from projections.volumes import taken_away, why_not
from projections.whose import own

WORDS: dict[Detail, str] = {
    Detail.PENDING: "is about to start",
    Detail.PULLING: "waits for its image",
    Detail.WAITING: "cannot start yet",
    Detail.STARTING: "is being started",
    Detail.RUNNING: "runs",
    Detail.CHECKING: "runs, and its check has not said yet whether it is well",
    Detail.HEALTHY: "runs and is healthy",
    Detail.UNHEALTHY: "runs and is unhealthy",
    Detail.REPLACING: "is being replaced by what was declared last",
    Detail.STOPPING: "is being ended",
    Detail.STOPPED: "is stopped",
    Detail.COMPLETED: "has done its work",
    Detail.RESTARTING: "is being started again",
    Detail.BACKOFF: "ended, and is started again after a pause",
    Detail.CRASH_LOOP: "ends again and again",
    Detail.GAVE_UP: "ended too often, and is not started again",
    Detail.RETRYING: "is not as it should be yet, and that is tried again",
    Detail.FAILED: "has failed",
    Detail.DELETING: "is being removed",
}
"""A phase as the end of a sentence that begins with the workload's name."""


SEVERAL = 2
"""So many runs that ended because they were ill say that it is not for the one run."""
_AFTER_ILLNESS = {
    Detail.STARTING,
    Detail.CHECKING,
    Detail.UNHEALTHY,
    Detail.STOPPING,
    Detail.RESTARTING,
    Detail.BACKOFF,
    Detail.CRASH_LOOP,
    Detail.GAVE_UP,
    Detail.FAILED,
}
"""Where such runs are what stands in the way, if there were several."""


class Why(msgspec.Struct, frozen=True):
    """An explanation. `detail` is the phase's word, empty for what is gone; `retry_at` the wall time of the next try in
    nanoseconds, 0 for none; `others` are the workloads and volumes that stand in the way, by kind and name."""

    name: str
    kind: str
    detail: str
    conclusion: str
    chain: tuple[Link, ...] = ()
    advice: str = ""
    retry_at: int = 0
    others: tuple[tuple[str, str], ...] = ()


def why_workload(machine: Machine, workload: Workload, past: Past) -> Why:
    """Why the workload is in its present phase."""
    status = status_of(workload, waits(machine, workload))
    name = workload.name
    mine = own(past, name, "workload", workload.uid)
    message = f": {status.message}" if status.message else ""
    gone = taken_away(machine, workload) if status.detail is Detail.WAITING else ()
    links = chain(name, past, mine, _taking(past, gone) or _decided(workload, status, mine))
    ill = sum(1 + link.alike for link in links if is_ailing(past[link.seq][1]))
    why = Why(
        name=name,
        kind="workload",
        detail=status.detail,
        conclusion=f"{name} {WORDS[status.detail]}{message}",
        chain=links,
        advice=VOLUME_GONE.format(name=name, volume=gone[0].volume_name) if gone else _advice(workload, status, ill),
        retry_at=max(workload.hold_until_wall, workload.pause_until_wall),
        others=_others(machine, workload) if status.detail is Detail.WAITING else (),
    )
    return _with_refused(why, mine)


def _taking(past: Past, gone: tuple[VolumeMount, ...]) -> int:
    """The entry by which one of these volumes was taken away; 0 for none that is known."""
    pinned = {(mount.volume_name, mount.volume_uid) for mount in gone}
    for seq in reversed(past):
        event = past[seq][1]
        if isinstance(event, VolumeDeleteRequested) and (event.name, event.uid) in pinned:
            return seq
    return 0


def _with_refused(why: Why, mine: Past, after: int = 0) -> Why:
    """With what was wanted since and not admitted: it changed nothing, and may be what was asked for."""
    found = refused(why.name, mine, why.kind, after)
    if found is None:
        return why
    event, link = found
    line = _after_refusal(why.name, event, link)
    advice = f"{why.advice}; and for what was refused: {line}" if why.advice else line
    return replace(why, chain=(*why.chain, link), advice=advice)


def _after_refusal(name: str, event: CallRefused, link: Link) -> str:
    return BY_REFUSAL.get(event.reason, OTHER_REFUSAL).format(name=name, seq=link.seq)


def why_never(name: str, past: Past, kind: str = "") -> tuple[Link, str] | None:
    """What was refused, so that there is no such object, and what to try next; None when nothing is remembered."""
    found = refused(name, own(past, name, kind), kind)
    return None if found is None else (found[1], _after_refusal(name, *found))


def _decided(workload: Workload, status: Status, mine: Past) -> int:
    """The entry that decided the phase; what was wanted last, where nothing has come of that yet."""
    run, trouble = workload.run, workload.trouble
    number = 0 if run is None else run.number
    match status.detail:
        case Detail.RETRYING | Detail.FAILED if trouble is not None:
            found = trouble.seq if trouble.seq in mine else newest(mine, EffectFailed)
        case Detail.RUNNING | Detail.CHECKING:
            found = newest(mine, WorkloadStarted, run=number)
        case Detail.HEALTHY | Detail.UNHEALTHY:
            found = newest(mine, WorkloadHealthChanged, run=number)
        case Detail.STOPPED if run is None or not _ended_since(workload, mine):
            found = 0
        case Detail.STOPPING if run is not None and run.ailing:
            found = newest(mine, WorkloadHealthChanged, run=number)
        case Detail.STARTING | Detail.STOPPING | Detail.REPLACING | Detail.PULLING:
            found = max(newest(mine, EffectStarted), wished(mine))
        case Detail.RESTARTING:  # its end, until something is done about it
            found = max(newest(mine, EffectStarted, WorkloadExited, WorkloadLost), wished(mine), _taken(mine))
        case Detail.PENDING | Detail.WAITING | Detail.DELETING:
            found = 0
        case _:
            found = newest(mine, WorkloadExited, WorkloadLost, run=number) or _taken(mine)
    return found or wished(mine) or workload.desired_seq


def _taken(mine: Past) -> int:
    """The entry by which its last run went with the machine; 0 where that did not."""
    taken = taken_run(mine)
    return 0 if taken is None else taken.seq


def _ended_since(workload: Workload, mine: Past) -> bool:
    """Whether its last run ended after it was to stop: else it had come to its end before, and nothing followed."""
    run = workload.run
    return run is not None and newest(mine, WorkloadExited, WorkloadLost, run=run.number) > workload.desired_seq


def _advice(workload: Workload, status: Status, ill: int) -> str:
    """`ill`: so many runs that led here were to end because they were ill."""
    trouble, run = workload.trouble, workload.run
    if trouble is not None and status.detail is not Detail.WAITING:
        line = BY_REASON.get(trouble.reason, BY_DETAIL[status.detail])
    elif run is not None and run.oom and run.phase not in LIVE:
        line = OUT_OF_MEMORY if workload.kind == "container" else GUEST_OUT_OF_MEMORY
    elif run is not None and run.fault is not None and run.phase not in LIVE:
        line = BY_FAULT[run.fault]
    elif ill >= SEVERAL and status.detail in _AFTER_ILLNESS:
        line = ILL_AGAIN
    else:
        line = BY_DETAIL[status.detail]
    return line.format(name=workload.name, image=workload.spec.image.ref)


def _others(machine: Machine, workload: Workload) -> tuple[tuple[str, str], ...]:
    """What it waits for, as far as it exists."""
    volumes = [one.volume_name for one in workload.spec.mounts if why_not(machine, workload, one)]
    needed = [name for name, _ in unready(machine, workload)]
    return (
        *(("volume", name) for name in dict.fromkeys(volumes) if name in machine.volumes),
        *(("workload", name) for name in needed if name in machine.workloads),
    )


def why_volume(volume: Volume, past: Past) -> Why:
    """Why the volume is as it is."""
    mine = own(past, volume.name, "volume", volume.uid)
    detail, conclusion, decided = _volume(volume, mine)
    advice = "" if volume.trouble is None else BY_REASON.get(volume.trouble.reason, "it is tried again by itself")
    if volume.lost:
        advice = BY_REASON["VOLUME_MISSING"]
    why = Why(
        name=volume.name,
        kind="volume",
        detail=detail,
        conclusion=f"volume {volume.name} {conclusion}{_message(volume.trouble)}",
        chain=chain(volume.name, past, mine, decided or volume.desired_seq),
        advice=advice.format(name=volume.name, image=""),
    )
    return _with_refused(why, mine)


def _message(trouble: Trouble | None) -> str:
    return "" if trouble is None else f": {' '.join(trouble.message.split())}"


def _volume(volume: Volume, mine: Past) -> tuple[str, str, int]:
    """Its state in one word and in a sentence, and the entry that decided it (0: what was wanted last)."""
    failed = newest(mine, EffectFailed) if volume.trouble is not None else 0
    if volume.lost:
        lost = newest(mine, VolumeLost)
        stayed = (
            ": its content stayed on the other machine, whose memory this one has" if left_behind(mine, lost) else ""
        )
        return "lost", f"is not in the storage{stayed or ' any more'}", lost
    if volume.deleting:
        return "deleting", "is being removed", failed or newest(mine, VolumeDeleteRequested)
    if volume.restoring:
        return "restoring", "is being restored", failed or newest(mine, VolumeRestoreRequested)
    if volume.made_bytes < volume.size_bytes:
        return "making", "is not there in its full size yet", failed or newest(mine, VolumeApplied)
    if volume.holder:
        return "mounted", f"is mounted for {volume.holder}", newest(mine, VolumeRestored)
    return "free", "is there, and nobody has it mounted", newest(mine, VolumeRestored)


def why_gone(name: str, past: Past, kind: str = "") -> Why | None:
    """Why there is no such object now, of this kind or (without one) of the kind that was the last to go; None when
    nothing is remembered of one."""
    named = own(past, name, kind)
    removed = newest(named, WorkloadRemoved, VolumeRemoved)
    if not removed:
        return None
    event = named[removed][1]
    kind = "volume" if isinstance(event, VolumeRemoved) else "workload"
    mine = own(past, name, kind, getattr(event, "uid", 0))
    why = Why(name, kind, "", f"there is no {kind} {name} any more", chain(name, past, mine, removed))
    return _with_refused(why, mine, after=removed)
