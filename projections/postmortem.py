"""What became of an update, as one report: both boots on one timeline, what is known of why, what was different, and
how the workloads were before, under the new system and after. Pure.

What happened stands in the order of its boots, and in each by the monotonic clock: the wall clock, which may have been
set meanwhile, is for people.
"""

from collections.abc import Iterator, Mapping
from typing import Literal, TypeVar

import msgspec

from journal.entry import Header
from journal.events import (
    BootCompleted,
    BootStarted,
    DaemonCrashed,
    DaemonStarted,
    Event,
    UpdateBegun,
    UpdateConfirmed,
    UpdateDisarmed,
    UpdateEvidenceFound,
    UpdateHealthChanged,
    UpdateReturning,
    UpdateRolledBack,
    UpdateStaged,
    UpdateStagingFailed,
    WorkloadExited,
    WorkloadHealthChanged,
    WorkloadLost,
)
from journal.evidence import Cause, Confidence, Evidence, Mark
from projections.causes import INIT, ROOT, STATE, WORDS
from projections.describe import describe
from projections.stories import ROLES, TOLD, Kind, Role, Stories, Story
from projections.update_words import system_text

E = TypeVar("E", bound=Event)

Outcome = Literal["unfinished", "staging-failed", "dropped", "confirmed", "rolled-back"]


class Moment(msgspec.Struct, frozen=True, rename="camel"):
    """Something that happened. `at` is wall time in nanoseconds, 0 where that is not known; `mono_ms` since that boot's
    kernel began; `seq` the entry that says it, 0 for what the evidence alone says. `took_ms`: it began so much
    earlier."""

    at: int
    boot: str
    role: Role
    mono_ms: int
    kind: Kind
    text: str
    seq: int = 0
    bad: bool = False
    took_ms: int = 0


class BootOf(msgspec.Struct, frozen=True, rename="camel"):
    """A boot in the story. `began_at` is when its kernel began, `ended_at` its last sign of life, both wall time in
    nanoseconds; 0 where that is not known. `lived_ms`: the last sign of life since its kernel began."""

    boot: str
    role: Role
    slot: str
    release: str
    began_at: int
    ended_at: int
    lived_ms: int = 0


class Excerpt(msgspec.Struct, frozen=True, rename="camel"):
    """The end of a log."""

    title: str
    lines: tuple[str, ...]


class Difference(msgspec.Struct, frozen=True, rename="camel"):
    """What is not the same in the two systems."""

    what: str
    before: str
    after: str


class WorkloadStates(msgspec.Struct, frozen=True, rename="camel"):
    """A workload's phase, in its word, before the update, at the end of the tentative boot, and afterwards. Empty where
    there was none, or nobody looked."""

    name: str
    before: str
    tried: str
    after: str


class Postmortem(msgspec.Struct, frozen=True, rename="camel"):
    """The report. `slot` is that of the new system; `rests_on` is what the cause rests on, `looked_for` where was
    looked in vain. `boots` and `timeline` are in the order in which all that happened."""

    update: int
    outcome: Outcome
    version: str
    commit: str
    slot: str
    from_version: str
    from_commit: str
    from_slot: str
    by: str
    began_at: int
    conclusion: str
    cause: Cause | None = None
    confidence: Confidence | None = None
    message: str = ""
    rests_on: tuple[str, ...] = ()
    looked_for: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    boots: tuple[BootOf, ...] = ()
    timeline: tuple[Moment, ...] = ()
    differences: tuple[Difference, ...] = ()
    workloads: tuple[WorkloadStates, ...] = ()
    excerpts: tuple[Excerpt, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether it is what somebody asks for who names none."""
        return self.outcome in ("rolled-back", "staging-failed")


def postmortems(stories: Stories) -> tuple[Postmortem, ...]:
    """A report of each, the oldest first."""
    return tuple(map(_report, stories.all))


def chosen(reports: tuple[Postmortem, ...], asked: str) -> Postmortem | None:
    """The one that was asked for, by number, version or commit; without a word the newest that failed, else the
    newest."""
    if not asked:
        return next((one for one in reversed(reports) if one.failed), reports[-1] if reports else None)
    return next((one for one in reversed(reports) if asked in (str(one.update), one.version, one.commit)), None)


def _report(story: Story) -> Postmortem:
    begun, end = story.begun, story.end[1] if story.end else None
    found = _newest(story, UpdateEvidenceFound)
    evidence = None if found is None else found.evidence
    rolled = end if isinstance(end, UpdateRolledBack) else None
    boots = _boots(story, evidence)
    order = {one.boot: number for number, one in enumerate(boots)}
    timeline = sorted(
        (*_moments(story), *_of_evidence(story, boots, evidence)),
        key=lambda one: (ROLES.index(one.role), order.get(one.boot, len(boots)), one.mono_ms, one.seq),
    )
    return Postmortem(
        update=story.uid,
        outcome=_outcome(end),
        version=begun.version,
        commit=begun.commit,
        slot=begun.slot,
        from_version=begun.from_version,
        from_commit=begun.from_commit,
        from_slot=begun.from_slot,
        by=_who(story.header),
        began_at=story.header.at,
        conclusion=_conclusion(begun, end),
        cause=rolled.cause if rolled else None,
        confidence=rolled.confidence if rolled else None,
        message=rolled.message if rolled else "",
        rests_on=rolled.evidence if rolled else (),
        looked_for=rolled.looked_for if rolled else (),
        failing=_failing(story),
        boots=boots,
        timeline=tuple(timeline),
        differences=_differences(story),
        workloads=_workloads(story),
        excerpts=_excerpts(evidence),
    )


def _outcome(end: Event | None) -> Outcome:
    match end:
        case UpdateConfirmed():
            return "confirmed"
        case UpdateRolledBack():
            return "rolled-back"
        case UpdateDisarmed():
            return "dropped"
        case UpdateStagingFailed():
            return "staging-failed"
        case _:
            return "unfinished"


def _conclusion(begun: UpdateBegun, end: Event | None) -> str:
    new, old = system_text(begun.version, begun.commit), system_text(begun.from_version, begun.from_commit)
    match end:
        case UpdateConfirmed():
            return f"{new} is confirmed, and boots from {begun.slot} from then on"
        case UpdateRolledBack():
            how = " (likely)" if end.confidence == "likely" else ""
            if end.runs:
                return f"{new} was not kept, and runs all the same in place of {old}: {WORDS[end.cause]}{how}"
            return f"{new} went back to {old}: {WORDS[end.cause]}{how}"
        case UpdateDisarmed():
            return f"{new} was taken back before it booted; {old} ran on"
        case UpdateStagingFailed():
            return f"{new} never came to boot: {end.message}; {old} ran on"
        case _:
            return f"{new} has come to no end yet"


def _who(header: Header) -> str:
    return header.actor.name or header.actor.id[:12] or header.actor.kind


def _newest(story: Story, kind: type[E]) -> E | None:
    return next((event for _, event in reversed(story.told) if isinstance(event, kind)), None)


def _boots(story: Story, evidence: Evidence | None) -> tuple[BootOf, ...]:
    found = [
        BootOf(
            boot,
            story.role(first),
            first.slot,
            _release(story, boot) or first.release,
            first.at - first.mono,
            last.at,
            last.mono // 1_000_000,
        )
        for boot, (first, last) in story.boots.items()
    ]
    if evidence is not None and _booted(evidence) and story.tried not in story.boots:
        after = next((one for one in found if one.role == "after"), None)
        ended_at = after.began_at - evidence.gap_ms * 1_000_000 if after and evidence.gap_ms is not None else 0
        began_at = ended_at - evidence.alive_ms * 1_000_000 if ended_at else 0
        found.append(
            BootOf(story.tried, "tried", evidence.slot, evidence.release, began_at, ended_at, evidence.alive_ms)
        )
    return tuple(sorted(found, key=lambda one: ROLES.index(one.role)))


def _booted(evidence: Evidence) -> bool:
    return evidence.loader == "taken" or bool(evidence.boot or evidence.marks)


def _release(story: Story, boot: str) -> str:
    found = next((e.release for h, e in story.told if isinstance(e, BootStarted) and (e.boot or h.boot) == boot), "")
    old = system_text(story.begun.from_version, story.begun.from_commit)
    return found or (old if boot == story.header.boot else "")


def _moments(story: Story) -> list[Moment]:
    made: list[Moment] = []
    for header, event in story.told:
        role = story.role(header)
        if isinstance(event, BootCompleted):
            made += [
                Moment(
                    header.at - header.mono + (one.began_ms + one.took_ms) * 1_000_000, header.boot, role,
                    one.began_ms + one.took_ms, "stage", one.name + (f": {one.problem}" if one.problem else ""),
                    header.seq, bool(one.problem), one.took_ms,
                )
                for one in event.stages
            ]  # fmt: skip
        took_ms = event.took_ms if isinstance(event, UpdateStaged) else 0
        # An end of the daemon is told by the next one.
        mono = event.mono if isinstance(event, DaemonCrashed) and event.mono else header.mono
        made.append(
            Moment(
                header.at - header.mono + mono, header.boot, role, mono // 1_000_000, TOLD[type(event)],
                describe(header, event), header.seq, _is_bad(event), took_ms,
            )
        )  # fmt: skip
    return made


def _is_bad(event: Event) -> bool:
    match event:
        case UpdateHealthChanged():
            return bool(event.failing)
        case WorkloadExited():
            return event.exit_code != 0 or event.oom
        case WorkloadLost():
            return not event.unborn
        case WorkloadHealthChanged():
            return event.health == "unhealthy"
        case DaemonStarted():
            return event.previous in ("crash", "power-lost")
        case (
            DaemonCrashed() | UpdateReturning() | UpdateRolledBack() | UpdateStagingFailed() | UpdateDisarmed()
        ):  # fmt: skip
            return True
        case _:
            return False


def _of_evidence(story: Story, boots: tuple[BootOf, ...], evidence: Evidence | None) -> list[Moment]:
    """What only the evidence knows: stages that no entry tells, ends of the daemon, the last sign of life."""
    if evidence is None:
        return []
    began_at = next((one.began_at for one in boots if one.role == "tried"), 0)

    def moment(at_ms: int, kind: Kind, text: str, bad: bool = False) -> Moment:
        return Moment(began_at + at_ms * 1_000_000 if began_at else 0, story.tried, "tried", at_ms, kind, text, 0, bad)

    of_boot = [event for header, event in story.told if header.boot == story.tried]
    known = {stage.name for event in of_boot if isinstance(event, BootCompleted) for stage in event.stages}
    made = [
        moment(one.at_ms, "stage", _stage_text(one), bool(one.problem))
        for one in evidence.marks
        if one.name not in known
    ]
    if not any(isinstance(event, DaemonCrashed) for event in of_boot):
        made += [moment(one.at_ms, "daemon", f"capsuled ended with {one.how}", True) for one in evidence.ends]
    if evidence.returning and not any(isinstance(event, UpdateReturning) for event in of_boot):
        made.append(moment(evidence.returning_ms, "update", f"it goes back: {WORDS[evidence.returning]}", True))
    if evidence.alive_ms:
        made.append(moment(evidence.alive_ms, "evidence", "its last sign of life"))
    return made


_STAGES = {
    "initramfs": "the initramfs runs and has found the disk",
    ROOT: "the root is mounted",
    INIT: "PID 1 runs",
    STATE: "the state is mounted",
}


def _stage_text(mark: Mark) -> str:
    return _STAGES.get(mark.name, mark.name) + (f": {mark.problem}" if mark.problem else "")


def _failing(story: Story) -> tuple[str, ...]:
    """What the health gate said last."""
    last = _newest(story, UpdateHealthChanged)
    failing = () if last is None else last.failing
    return tuple(f"{one.name}: {one.message}" if one.message else one.name for one in failing)


def _differences(story: Story) -> tuple[Difference, ...]:
    begun = story.begun
    kernel = next((e.kernel for h, e in story.told if h.boot == story.tried and isinstance(e, BootStarted)), "")
    staged = _newest(story, UpdateStaged)
    rows = [
        ("version", begun.from_version, begun.version),
        ("commit", begun.from_commit, begun.commit),
        ("slot", begun.from_slot, begun.slot),
    ]
    if kernel and story.kernel_before:
        rows.append(("kernel", story.kernel_before, kernel))
    if staged is not None:
        rows.append(("boot image", "", f"sha256:{staged.boot_sha256}"))
        rows.append(("root image", "", f"sha256:{staged.root_sha256}"))
    if begun.from_level and story.level:
        rows += _levels(dict(begun.from_level), dict(story.level))
    return tuple(Difference(*row) for row in rows if row[1] != row[2])


def _levels(before: Mapping[str, int], after: Mapping[str, int]) -> Iterator[tuple[str, str, str]]:
    """What either reads and the other does not, or in another version: events in one row, each form that something has
    on the disk (`format/ext4`, `view/newest`) in its own."""
    others = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    events = [name for name in others if "/" not in name]

    def read_by(level: Mapping[str, int]) -> str:
        return ", ".join(f"{name} {level[name]}" for name in events if name in level)

    yield "events read", read_by(before), read_by(after)
    for name in others:
        if "/" in name:
            yield f"{name} read", str(before.get(name, "")), str(after.get(name, ""))


def _workloads(story: Story) -> tuple[WorkloadStates, ...]:
    names = sorted({*story.before, *story.under, *story.after})
    return tuple(
        WorkloadStates(one, story.before.get(one, ""), story.under.get(one, ""), story.after.get(one, ""))
        for one in names
    )


def _excerpts(evidence: Evidence | None) -> tuple[Excerpt, ...]:
    if evidence is None:
        return ()
    found = (
        Excerpt("the kernel's last words", evidence.panic),
        Excerpt("what PID 1 said", evidence.console),
        Excerpt("the kernel's log", evidence.kernel),
        Excerpt("the daemon's log", evidence.log),
    )
    return tuple(one for one in found if one.lines)
