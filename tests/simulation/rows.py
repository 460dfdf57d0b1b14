"""Judges restart policies by what was journaled: how often a run followed another, and after how long a pause.

From the last word of an operator on, ends are counted as they stand there. Of the policy's arithmetic nothing is shared:
the numbers here are the manual's, not the code's.
"""

from collections.abc import Iterable, Sequence

import msgspec

from journal.entry import Header
from journal.events import (
    DaemonStarted,
    EffectFailed,
    EffectStarted,
    Event,
    ImageFound,
    ImagePulled,
    ImagePushed,
    NetworkAttached,
    SecretRotated,
    VolumeDeleteRequested,
    VolumeMounted,
    VolumeRestoreRequested,
    VolumeUnmounted,
    WorkloadApplied,
    WorkloadDeleteRequested,
    WorkloadExited,
    WorkloadHealthChanged,
    WorkloadLost,
    WorkloadRestartRequested,
    WorkloadStable,
    WorkloadStarted,
    WorkloadStartRequested,
    WorkloadStopRequested,
)

FIRST_S, CAP_S = 1.0, 300.0
LATE_S = 3.0
"""So much longer than its pause nobody waits for a run, without faults."""
PROMPT_S = 10.0
"""So soon after a word its run begins, where nothing holds it up: longer than a stop's grace, and than what it needs first."""
_WORDS = (WorkloadStopRequested, WorkloadStartRequested, WorkloadRestartRequested, WorkloadDeleteRequested)
_CAME = (ImagePushed, ImagePulled, ImageFound)
_EVERYBODYS = (DaemonStarted, SecretRotated, *_CAME)
Told = tuple[Header, Event]
STABLE_S = 150
"""What lasted for so long is declared to be stable: the pauses begin anew."""
_ENDS = {"end-ok", "end-bad", "end-late", "hog", "fatal", "sick", "foreign", "missing"}


class Row(msgspec.Struct):
    """What followed an operator's last word: the runs that began, the ends they came to, those that were `lost` and those
    that `failed` among them, and boots in between. `late`: what began after more than its pause. `word`: the operator's,
    where it asks for a run at once. `imageless`: until when, in seconds, the next one has to wait for an image that
    another hand took: until that is tried again, or there."""

    begun: dict[int, Header] = {}
    ends: dict[int, Header] = {}
    boots: int = 0
    lost: int = 0
    failed: int = 0
    succeeded: bool = False
    late: list[str] = []
    streak: int = 0
    kept: bool = False
    word: Header | None = None
    imageless: float | None = None


def by_name(names: Iterable[str], entries: Sequence[Told]) -> dict[str, list[Told]]:
    """For each of these workloads the entries that tell of it, of its volume, or of more than one: by these it is
    judged."""
    found: dict[str, list[Told]] = {name: [] for name in names}
    for told in entries:
        event = told[1]
        if isinstance(event, WorkloadApplied):
            concerned = {item.name for item in event.items}
        elif isinstance(event, _EVERYBODYS):
            concerned = set(found)
        else:
            concerned = {getattr(event, "name", "")}
        for name in concerned & found.keys():
            found[name].append(told)
    return found


def ends_by_itself(program: tuple[str, ...]) -> bool:
    """Whether a program does not serve for ever."""
    return bool(_ENDS & set(program))


def is_over(name: str, policy: str, entries: Sequence[Told]) -> bool:
    """Whether a boot, or its machine by itself, ended its run since it was declared as it is, or started: with `never`
    that was its only one."""
    boot, lost = "", False
    for header, event in entries:
        match event:
            case WorkloadApplied() if any(item.name == name and (item.changed or item.created) for item in event.items):
                lost = False
            case WorkloadStartRequested() | WorkloadRestartRequested() if event.name == name:
                lost = False
            case WorkloadExited() if event.name == name:
                lost = lost or event.fault not in (None, "killed")
            case DaemonStarted():
                lost, boot = lost or header.boot != boot, header.boot
    return lost and policy == "never"


def judge_row(
    name: str, policy: str, program: tuple[str, ...], entries: Sequence[Told], running: bool, calm: int
) -> list[str]:
    """What is wrong with the restarts of a workload since the last word about it. `running`: at the very end; `calm`: the
    entry from which on nothing held it up, neither a fault nor another."""
    row, wrong = _row(name, entries, calm)
    wrong += row.late
    mode, _, limit = policy.partition(":")
    begun, most, hopeless = len(row.begun), None, program[0] in ("foreign", "missing")
    over = mode == "never" or (mode == "on-failure" and row.succeeded)
    if over:
        # Another hand may have killed what would have ended well: each such end is followed by one more run.
        most = 1 if mode == "never" else 1 + row.failed
    elif hopeless:
        most = 1 + row.lost  # what can never run is not tried again; what was lost first, showed nothing yet
    elif limit and "end-late" not in program:
        most = 1 + int(limit)
    # A run that power took away is followed by another that nobody counts.
    if most is not None and begun > most + (0 if mode == "never" else row.boots):
        wrong.append(f"{name} ({policy}, {program}) began {begun} runs, which is more than {most}")
    if not row.ends or not ends_by_itself(program) or over or hopeless:
        return wrong
    if limit and "end-late" not in program and (begun < int(limit) + (0 if row.kept else 1) or running):
        wrong.append(f"{name} ({policy}, {program}) was given up after {begun} runs, or never: {running}")
    if not limit and begun < (2 if "end-late" in program else 4):
        wrong.append(f"{name} ({policy}, {program}) was not restarted: {begun} runs began")
    return wrong


def _row(name: str, entries: Sequence[Told], calm: int) -> tuple[Row, list[str]]:
    row, wrong, boot, mounted, alive, ailing, keyed, born = Row(), [], "", False, 0, 0, False, False
    digest = ""
    came: Header | None = None
    for header, event in entries:
        match event:
            case WorkloadApplied() if any(item.name == name for item in event.items):
                changed = any(item.name == name and (item.changed or item.created) for item in event.items)
                row = Row(kept=bool(alive), word=header if changed or not alive else None)
                keyed = any(item.name == name and item.container.secret_env for item in event.items)
                digest = next(item.container.image.platform_digest for item in event.items if item.name == name)
            case SecretRotated() if keyed and alive and not born:
                row = Row(kept=bool(alive))  # what is about to begin with the former value begins anew
            case WorkloadStarted() if event.name == name:
                born, came = True, header
            case WorkloadStable() if event.name == name:
                if not _is_stable(came, header):
                    wrong.append(f"{name} run {event.run} is called stable by entry {header.seq}, and was not yet")
                row.streak = 0
            case WorkloadHealthChanged(restart=True) if event.name == name:
                ailing = event.run  # however it ends now: for that it was ended
            case WorkloadRestartRequested() if event.name == name:
                row = Row(kept=bool(alive), word=header)
            case _ if isinstance(event, _WORDS) and event.name == name:
                asked = isinstance(event, WorkloadStartRequested) and not alive
                row = Row(kept=bool(alive), word=header if asked else None)
            case VolumeMounted() | VolumeUnmounted() if event.name == name:
                mounted = isinstance(event, VolumeMounted)
            case VolumeDeleteRequested() | VolumeRestoreRequested() if event.name == name and mounted and alive:
                row = Row(kept=bool(alive))  # taking a volume away ends what lives on it, as a restart does
            case NetworkAttached(anew=True) if event.name == name and alive:
                row = Row(kept=bool(alive))  # a microVM is started anew to have its new link
            case DaemonStarted():
                if header.boot != boot:
                    row.boots, row.imageless = row.boots + 1, None
                mounted = mounted and header.boot == boot  # no mount outlives its boot
                boot = header.boot
            case EffectFailed(effect="EnsureImage", reason="IMAGE_NOT_FOUND") if event.name == name:
                row.imageless = header.mono / 1e9 + event.retry_delay_ms / 1000
            case ImagePushed() | ImagePulled() | ImageFound() if row.imageless is not None:
                if any(image.pin.platform_digest == digest for image in event.images):
                    row.imageless = header.mono / 1e9
            case EffectStarted(effect="StartRun") if event.name == name and event.run not in row.begun:
                wrong += _wrong_pause(name, event.run, header, row, calm)
                if not row.begun and row.word is not None:
                    row.late += _late(name, event.run, header, row, row.word, calm)
                alive, born, row.imageless = event.run, False, None
                row.begun[event.run] = header
            case WorkloadExited() | WorkloadLost() if event.name == name:
                row.ends[event.run] = header
                if event.run in row.begun:
                    row.streak = 1 if _is_stable(came, header) else row.streak + 1
                came = None
                row.lost += isinstance(event, WorkloadLost)
                well = isinstance(event, WorkloadExited) and event.exit_code == 0 and event.run != ailing
                row.failed += isinstance(event, WorkloadExited) and not well
                alive = 0 if alive == event.run else alive
                row.succeeded = well
    return row, wrong


def _is_stable(came: Header | None, now: Header) -> bool:
    """Whether a run that came to life then has lasted for so long."""
    return came is not None and came.boot == now.boot and now.mono - came.mono >= STABLE_S * 10**9


def _late(name: str, run: int, header: Header, row: Row, word: Header, calm: int) -> list[str]:
    """A word is not made to wait for the pause that was under way."""
    waited_s = (header.mono - word.mono) / 1e9
    if word.seq <= calm or word.boot != header.boot or waited_s <= PROMPT_S or _waits_for_its_image(header, row):
        return []
    return [f"{name} run {run} began {waited_s:.1f} s after the word of entry {word.seq}, and nothing held it up"]


def _wrong_pause(name: str, run: int, header: Header, row: Row, calm: int) -> list[str]:
    """The pause before a run, when the one before it ended in this boot and began after the last word."""
    before = row.ends.get(run - 1)
    if before is None or before.boot != header.boot or run - 1 not in row.begun:
        return []
    least_s = min(FIRST_S * 2 ** (row.streak - 1), CAP_S)
    waited_s = (header.mono - before.mono) / 1e9
    told = f"{name} run {run} began {waited_s:.1f} s after an end, not {least_s} s"
    late = waited_s > least_s * (2 if row.kept else 1) + LATE_S and not _waits_for_its_image(header, row)
    if before.seq > calm and late:
        row.late.append(told)
    return [told] if waited_s < least_s else []


def _waits_for_its_image(header: Header, row: Row) -> bool:
    """Whether what begins now has had its image for no longer than it may take to begin."""
    return row.imageless is not None and header.mono / 1e9 - row.imageless <= LATE_S
