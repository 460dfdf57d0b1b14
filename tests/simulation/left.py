"""Judges what became of other hands' changes, by the journal and by what was really done.

Every change is told as another hand's, and nothing else is; what a policy leaves so is mended by nobody before an
operator's word, or a run that begins anyway. Of the planner's rules nothing is shared.
"""

from collections.abc import Iterable, Sequence

from journal.entry import Header
from journal.events import (
    DaemonStarted,
    DriftFound,
    DriftResolved,
    EffectStarted,
    Event,
    NetworkAttached,
    NetworkDrifted,
    NetworkEnsured,
    SecretRotated,
    VolumeApplied,
    VolumeDeleteRequested,
    VolumeDrifted,
    VolumeMounted,
    VolumeRestoreRequested,
    VolumeUnmounted,
    WorkloadApplied,
    WorkloadDeleteRequested,
    WorkloadExited,
    WorkloadHealthChanged,
    WorkloadLost,
    WorkloadRestartRequested,
    WorkloadStarted,
    WorkloadStartRequested,
    WorkloadStopRequested,
)
from projections.drift import Difference, foreign
from projections.state import Machine

Key = tuple[str, int, int]
"""(name, uid, run)"""

_LIFTS = (WorkloadStartRequested, WorkloadRestartRequested)
_ENDS = (WorkloadStopRequested, WorkloadDeleteRequested, WorkloadRestartRequested)


class Left:
    """Reads off the entries what is left as another hand made it: `runs`, `links` and `mounts` by name, and the
    `rules`; and whatever was done about it too early."""

    def __init__(self) -> None:
        self.policies: dict[str, str] = {}
        self.modes: dict[str, str] = {}
        self.disks: dict[str, str] = {}
        self.bridged: dict[str, bool] = {}
        self.secrets: dict[str, set[str]] = {}
        self.starting: set[str] = set()
        self.runs: set[str] = set()
        self.links: set[str] = set()
        self.mounts: set[str] = set()
        self.rules = False
        self.alive: set[str] = set()
        self.ending: set[str] = set()
        self.begun: dict[str, tuple[int, int]] = {}
        self.boot = ""
        self.wrong: list[str] = []

    def fork(self) -> "Left":
        """A copy that goes on by itself."""
        copy = Left()
        vars(copy).update(
            (name, value.copy() if hasattr(value, "copy") else value) for name, value in vars(self).items()
        )
        return copy

    def told(self, header: Header, event: Event) -> None:
        """One entry more."""
        match event:
            case WorkloadApplied():
                for item in event.items:
                    self.policies[item.name] = item.drift
                    self.modes[item.name] = item.container.restart.mode
                    self.bridged[item.name] = item.container.network == "bridge"
                    self.secrets[item.name] = {one.secret for one in item.container.secret_env}
                    self._word(item.name)
                    if item.changed or item.created or item.desired != "running":
                        self.ending.add(item.name)
            case VolumeApplied():
                self.disks[event.name] = event.drift or ("repair" if event.created else self.disks[event.name])
                self.mounts.discard(event.name)
            case WorkloadStarted():
                self.alive.add(event.name)
                self.starting.discard(event.name)
            case SecretRotated():
                # Of a run that was just beginning nobody knows which value it has: it is to end.
                self.ending |= {name for name in self.starting if event.name in self.secrets[name]}
            case WorkloadExited() | WorkloadLost():
                self.starting.discard(event.name)
                self.alive.discard(event.name)
                if event.foreign and not event.restart:
                    self.runs.add(event.name)
                    self._stays_down(header, event)
                elif event.foreign and self.policies[event.name] == "report":
                    self.wrong.append(f"{event.name} is to begin again at {header.seq}, and was only to be reported")
            case NetworkDrifted():
                self._drifted(event)
            case NetworkAttached():
                self.links.discard(event.name)
                if event.anew:
                    self.ending.add(event.name)
            case NetworkEnsured():
                self.rules = False
            case VolumeDrifted() if self.disks[event.name] == "report":
                self.mounts.add(event.name)
            case VolumeMounted() | VolumeUnmounted():
                self.mounts.discard(event.name)
            case DaemonStarted() if header.boot != self.boot:
                self.boot, self.rules = header.boot, False
                self.links.clear()
                self.mounts.clear()
                self.alive.clear()
            case EffectStarted():
                self._acts(header, event)
            case _:
                self._says(event)

    def _says(self, event: Event) -> None:
        if isinstance(event, _LIFTS):
            self._word(event.name)
        if isinstance(event, _ENDS) or (isinstance(event, WorkloadHealthChanged) and event.restart):
            self.ending.add(event.name)
        if isinstance(event, VolumeDeleteRequested | VolumeRestoreRequested):
            self.ending.add(event.name)  # of its own workload, which has its name

    def _stays_down(self, header: Header, event: WorkloadExited | WorkloadLost) -> None:
        """Of what another hand removed nothing tells that it ended well."""
        name = event.name
        lost = isinstance(event, WorkloadLost) and not event.gave_up and name not in self.ending
        if lost and self.policies[name] == "repair" and self.modes[name] != "never":
            self.wrong.append(f"nothing is left of {name} run {event.run} at {header.seq}, and it is not begun again")

    def _word(self, name: str) -> None:
        self.runs.discard(name)
        self.links.discard(name)
        self.mounts.discard(name)
        if self.bridged.get(name):
            self.rules = False

    def _drifted(self, event: NetworkDrifted) -> None:
        if not event.name:
            self.rules = True
        elif self.policies[event.name] == "report":
            self.links.add(event.name)

    def _acts(self, header: Header, event: EffectStarted) -> None:
        name = event.name
        if event.effect == "StopRun":
            self.ending.add(name)
        if event.effect == "StartRun" and self.begun.get(name) != (event.uid, event.run):
            self.begun[name] = (event.uid, event.run)
            self.links.discard(name)  # it has one from its beginning, whatever became of its predecessor's
            self.ending.discard(name)
            self.starting.add(name)
        if event.effect == "StartRun" and name in self.runs:
            self.wrong.append(f"{name} run {event.run} began at {header.seq}, and nobody had asked for it")
        if event.effect == "AttachNetwork" and name in self.links and name in self.alive:
            self.wrong.append(f"the link of {name} was made again at {header.seq}, and was only to be reported")
        if event.effect == "MountVolume" and name in self.mounts and name in self.alive:
            self.wrong.append(f"volume {name} was mounted again at {header.seq}, and was only to be reported")
        # Whoever acts on the rules repairs drift, begins a run, or has something else to change about them.
        if event.effect == "EnsureNetwork" and self.rules and self.policies[name] == "report":
            self.rules = False


def what_is_left(entries: Iterable[tuple[Header, Event]], before: Left | None = None) -> Left:
    """As of the last entry, where `before` is as of what came before the first; it stays as it is."""
    left = Left() if before is None else before.fork()
    for header, event in entries:
        left.told(header, event)
    return left


def judge_hands(
    ended: set[Key],
    unwatched: set[Key],
    held: set[str],
    machine: Machine,
    entries: Sequence[tuple[Header, Event]],
) -> list[str]:
    """What was told as another hand's and was none's, or the other way round; and what was told of it. `ended` are the
    runs that another hand ended, `unwatched` those whose watcher died, `held` the workloads that cannot run for want of
    their volume or of another: what is to be mended by a run waits with them."""
    left, wrong = Left(), list[str]()
    drifts: dict[tuple[str, str, str], int] = {}
    for header, event in entries:
        match event:
            case WorkloadExited() | WorkloadLost():
                key = (event.name, event.uid, event.run)
                really = key in ended or key in unwatched
                if event.foreign and not really:
                    wrong.append(f"the end of {key} at {header.seq} is told as another hand's, and was nobody's")
                if key in ended and not event.foreign and event.name not in left.ending:
                    wrong.append(f"another hand ended {key}, and nobody is told so at {header.seq}")
            case DriftFound():
                drifts[event.kind, event.name, event.aspect] = event.observed
            case DriftResolved():
                if drifts.pop((event.kind, event.name, event.aspect), 0) != event.observed:
                    wrong.append(f"what was never found is resolved at {header.seq}: {event}")
        left.told(header, event)
    now = {(kind, name, aspect): seq for kind, name, aspect, seq in map(_told, foreign(machine))}
    if drifts != now:
        wrong.append(f"history has told of {drifts}, and drift is {now}")
    allowed = {("workload", name, "run") for name in left.runs | held} | {
        ("workload", name, "link") for name in left.links
    }
    allowed |= {("volume", name, "mount") for name in left.mounts} | (
        {("network", "", "rules")} if left.rules else set()
    )
    for kind, name, aspect in drifts.keys() - allowed:
        if kind != "image":
            wrong.append(f"{kind} {name} {aspect} was to be mended, and is not")
    return wrong + left.wrong


def _told(one: Difference) -> tuple[str, str, str, int]:
    kind, _, name = one.object.partition("/")
    return kind, name, one.aspect, one.seq
