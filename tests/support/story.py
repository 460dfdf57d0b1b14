"""Builders in the domain's words: a story of calls and observations, folded as it is told."""

from typing import Literal, TypedDict, Unpack, assert_never

from msgspec.structs import replace

from effects.goals import (
    AttachNetwork,
    CleanRun,
    DetachNetwork,
    Effect,
    EnsureImage,
    EnsureNetwork,
    EnsureSecretFiles,
    EnsureVolume,
    MountVolume,
    RemoveSecretFiles,
    RemoveSnapshot,
    RemoveVolume,
    RemoveWorkload,
    RestoreVolume,
    StartRun,
    StopRun,
    TakeSnapshot,
    UnmountVolume,
    kind_of,
    run_of,
)
from effects.planner import plan, plan_workload
from journal.entry import LOCAL, Header
from journal.events import (
    DaemonStarted,
    EffectDone,
    EffectStarted,
    Event,
    ImagePulled,
    NetworkAttached,
    NetworkDetached,
    NetworkEnsured,
    PushedImage,
    SecretFilesPlaced,
    SecretFilesRemoved,
    SnapshotRemoved,
    SnapshotTaken,
    VolumeMade,
    VolumeMounted,
    VolumeRemoved,
    VolumeRestored,
    VolumeUnmounted,
    WorkloadRemoved,
    WorkloadStarted,
    type_of,
)
from journal.specs import (
    ContainerSpec,
    DriftPolicy,
    ImagePin,
    MicroVM,
    Network,
    PortMapping,
    RestartMode,
    RestartPolicy,
)
from projections.abilities import Abilities
from projections.admission import Admitted, admit
from projections.fold import fold
from projections.host_network import HostNetwork
from projections.intents import Apply, Declared, DeclaredVolume, Intent
from projections.observations import ObservedRun, live_runs, observe_all, observe_run
from projections.phases import RunPhase
from projections.refusals import Refusal
from projections.state import CachedDigest, Machine, Workload

PIN = ImagePin("docker.io/library/busybox:1", "sha256:" + "1" * 64, "sha256:" + "2" * 64)
OTHER_PIN = ImagePin("docker.io/library/busybox:1", "sha256:" + "3" * 64, "sha256:" + "4" * 64)
ALL = frozenset({"network.bridge", "volume", "microvm"})
SECOND = 1_000_000_000


class Declaring(TypedDict, total=False):
    """What `declared` can be told by name, for builders that hand it on."""

    pin: ImagePin | None
    ports: tuple[PortMapping, ...]
    restart: RestartMode
    network: Network
    vm: MicroVM | None
    desired: Literal["running", "stopped"]
    depends_on: tuple[str, ...]
    drift: DriftPolicy


def spec(
    *args: str, ports: tuple[PortMapping, ...] = (), restart: RestartMode = "always", network: Network = "none"
) -> ContainerSpec:
    return ContainerSpec(image=PIN, args=args, ports=ports, network=network, restart=RestartPolicy(mode=restart))


def declared(name: str, *args: str, **fields: Unpack[Declaring]) -> Declared:
    vm = fields.get("vm")
    network = fields.get("network", "none") if vm is None else "bridge"
    made = spec(*args, ports=fields.get("ports", ()), restart=fields.get("restart", "always"), network=network)
    made = replace(made, vm=vm)
    return Declared(
        name=name,
        kind=made.kind,
        spec=made,
        image_ref=PIN.ref,
        resolved=fields.get("pin", PIN),
        desired=fields.get("desired", "running"),
        depends_on=fields.get("depends_on", ()),
        drift=fields.get("drift", "repair"),
    )


class Applying(TypedDict, total=False):
    """What an apply can be told beside its workloads."""

    expect_seq: int | None
    pull: bool
    subnet: str
    abilities: Abilities
    host: HostNetwork
    volumes: tuple[DeclaredVolume, ...]


class Story:
    """A journal in memory with a hand-driven clock."""

    def __init__(self, boot: str = "boot-1", holds: tuple[ImagePin, ...] = (PIN, OTHER_PIN)) -> None:
        """`holds`: images that are in the cache, under their digests, from the beginning."""
        self.beginning = Machine(
            cached={pin.index_digest: CachedDigest(pin.index_digest, pin.platform_digest, 1, 0) for pin in holds}
        )
        self.machine = self.beginning.fork()
        self.entries: list[tuple[Header, Event]] = []
        self.boot = boot
        self.mono = SECOND
        self.capabilities = ALL

    def tell(self, *events: Event) -> None:
        for event in events:
            seq = self.machine.seq + 1
            header = Header(
                seq, 1_700_000_000 * SECOND + self.mono, self.boot, self.mono, "0.0.1", "", LOCAL, 0, 0,
                type_of(event), event.VERSION, event.EFFECT, b"", b"",
            )  # fmt: skip
            fold(self.machine, header, event)
            self.entries.append((header, event))

    def pass_time(self, seconds: float) -> None:
        self.mono += int(seconds * SECOND)

    def reboot(self, boot: str) -> None:
        self.boot, self.mono = boot, SECOND
        self.tell(DaemonStarted(mode="hosted", previous="power-lost", keeps_streaks=True))

    def call(self, intent: Intent) -> Admitted | Refusal:
        verdict = admit(self.machine, intent, self.capabilities)
        if isinstance(verdict, Admitted):
            self.tell(*verdict.events)
        return verdict

    def apply(self, *workloads: Declared, **fields: Unpack[Applying]) -> Admitted | Refusal:
        return self.call(Apply(workloads, **fields))

    def run_starts(self, name: str, pid: int = 100) -> int:
        workload = self[name]
        number = 1 if workload.run is None else workload.run.number + 1
        self.tell(
            EffectStarted("StartRun", name, workload.uid, run=number, revision=workload.revision),
            WorkloadStarted(name, workload.uid, number, workload.revision, pid),
            EffectDone("StartRun", name, workload.uid, run=number),
        )
        return number

    def run_ends(self, name: str, exit_code: int) -> None:
        workload = self[name]
        assert workload.run is not None
        seen = ObservedRun(
            name, workload.uid, workload.run.revision, workload.run.number, "stopped", exit_code=exit_code
        )
        self.tell(*observe_run(self.machine, seen, self.boot, self.mono))

    def run_vanishes(self, name: str) -> None:
        """Another hand removes its container, and a look finds that it is gone."""
        self.tell(*observe_all(self.machine, (), self.boot, self.mono, live_runs(self.machine)))
        run = self[name].run
        assert run is not None and run.phase is RunPhase.LOST

    def begin(self, goal: Effect) -> None:
        """The runner has journaled that it is about to act."""
        revision = goal.revision if isinstance(goal, StartRun) else 0
        self.tell(EffectStarted(kind_of(goal), goal.name, goal.uid, run_of(goal), revision, goal.attempt))

    def reach(self, goal: Effect) -> None:
        """The runner reaches a goal in a world where all goes well."""
        self.begin(goal)
        name, uid = goal.name, goal.uid
        done = EffectDone(kind_of(goal), name, uid, run_of(goal))
        match goal:
            case StartRun():
                self.tell(WorkloadStarted(name, uid, goal.run, goal.revision, pid=100), done)
            case StopRun():
                self.run_ends(name, 143)
                self.tell(done)
            case CleanRun():
                self.tell(done)
            case RemoveWorkload():
                self.tell(done, WorkloadRemoved(name, uid))
            case EnsureNetwork():
                self.tell(NetworkEnsured(goal.upto, len(goal.mappings)), done)
            case AttachNetwork():
                self.tell(NetworkAttached(name, uid, goal.address), done)
            case DetachNetwork():
                self.tell(NetworkDetached(name, uid), done)
            case EnsureVolume():
                self.tell(VolumeMade(name, uid, goal.size_bytes), done)
            case RemoveVolume():
                self.tell(done, VolumeRemoved(name, uid))
            case TakeSnapshot():
                self.tell(SnapshotTaken(name, uid, goal.snapshot, goal.size_bytes, "thin"), done)
            case RemoveSnapshot():
                self.tell(SnapshotRemoved(name, uid, goal.snapshot), done)
            case RestoreVolume():
                self.tell(VolumeRestored(name, uid, goal.snapshot), done)
            case MountVolume():
                self.tell(VolumeMounted(goal.volume, goal.volume_uid, name, uid), done)
            case EnsureImage():
                self.tell(ImagePulled((PushedImage(goal.pin),)), done)
            case EnsureSecretFiles():
                self.tell(SecretFilesPlaced(name, uid, goal.files), done)
            case RemoveSecretFiles():
                self.tell(SecretFilesRemoved(name, uid), done)
            case UnmountVolume():
                self.tell(VolumeUnmounted(goal.volume, goal.volume_uid), done)
            case _:
                assert_never(goal)

    def converge(self, turns: int = 40) -> int:
        """Let the runner reach whatever is due until nothing is; how many goals it took. Fails when it never ends."""
        for turn in range(turns):
            goals = plan(self.machine)
            if not goals:
                return turn
            self.reach(goals[0])
        raise AssertionError(f"after {turns} goals reached there is still something due: {plan(self.machine)}")

    def cleaned(self, name: str) -> None:
        workload = self[name]
        assert workload.run is not None
        self.tell(EffectDone("CleanRun", name, workload.uid, run=workload.run.number))

    def next_goal(self, name: str) -> str | None:
        """What the planner would do next, by its kind."""
        goal = plan_workload(self.machine, self[name])
        return None if goal is None else kind_of(goal)

    def __getitem__(self, name: str) -> Workload:
        return self.machine.workloads[name]
