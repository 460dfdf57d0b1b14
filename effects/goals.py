"""Effects: goals to reach in the outside world, as data. What `--dry-run` prints is what would run."""

import msgspec

from journal.specs import ContainerSpec, ImagePin, Kind, PlacedSecret, SealedEnv
from projections.network import Mapping
from projections.state import Deadline
from projections.words import KINDS


class EnsureNetwork(msgspec.Struct, frozen=True):
    """The bridge exists, and its rules hold just these mappings: what the machine wanted as of entry `upto`.

    A goal of the whole machine; it stands in the lane of the workload that needs it first.
    """

    name: str
    uid: int
    upto: int
    mappings: tuple[Mapping, ...] = ()
    not_before: Deadline | None = None
    attempt: int = 1


class AttachNetwork(msgspec.Struct, frozen=True):
    """The workload has a network namespace with a link to the bridge and this address."""

    name: str
    uid: int
    address: str
    not_before: Deadline | None = None
    attempt: int = 1
    kind: Kind = "container"


class DetachNetwork(msgspec.Struct, frozen=True):
    """Nothing is left of the workload's link and namespace."""

    name: str
    uid: int
    not_before: Deadline | None = None
    attempt: int = 1


class EnsureSecretFiles(msgspec.Struct, frozen=True):
    """The workload has just these files of secrets in memory."""

    name: str
    uid: int
    files: tuple[PlacedSecret, ...]
    not_before: Deadline | None = None
    attempt: int = 1


class RemoveSecretFiles(msgspec.Struct, frozen=True):
    """Nothing of the workload's secrets is in memory."""

    name: str
    uid: int
    not_before: Deadline | None = None
    attempt: int = 1


class EnsureVolume(msgspec.Struct, frozen=True):
    """The volume is there, with a file system of this size. One that was made (`made_bytes`) is never made again; one
    that is to be made from what was `staged` has that content, and `keeps` the snapshots that were taken of what it was
    before. `asked_at`, in nanoseconds, tells it from what another journal called so."""

    name: str
    uid: int
    size_bytes: int
    made_bytes: int = 0
    not_before: Deadline | None = None
    attempt: int = 1
    staged: str = ""
    asked_at: int = 0
    keeps: tuple[int, ...] = ()


class RemoveVolume(msgspec.Struct, frozen=True):
    """Neither the volume nor a snapshot of it is there. `asked_at`, in nanoseconds, tells one that may not have been
    made from what another journal called so; it is 0 of one that was."""

    name: str
    uid: int
    not_before: Deadline | None = None
    attempt: int = 1
    asked_at: int = 0


class TakeSnapshot(msgspec.Struct, frozen=True):
    """The snapshot is there. `asked_at`, in nanoseconds, tells it from what another journal called so."""

    name: str
    uid: int
    snapshot: int
    size_bytes: int
    not_before: Deadline | None = None
    attempt: int = 1
    asked_at: int = 0


class RemoveSnapshot(msgspec.Struct, frozen=True):
    """The snapshot is not there. `asked_at`: as of a volume that is removed."""

    name: str
    uid: int
    snapshot: int
    not_before: Deadline | None = None
    attempt: int = 1
    asked_at: int = 0


class RestoreVolume(msgspec.Struct, frozen=True):
    """The volume's content is the snapshot's."""

    name: str
    uid: int
    snapshot: int
    size_bytes: int
    not_before: Deadline | None = None
    attempt: int = 1


class MountVolume(msgspec.Struct, frozen=True):
    """The volume is mounted for the workload."""

    name: str
    uid: int
    volume: str
    volume_uid: int
    not_before: Deadline | None = None
    attempt: int = 1
    kind: Kind = "container"


class UnmountVolume(msgspec.Struct, frozen=True):
    """The volume is not mounted, and everything that the workload wrote is on the disk."""

    name: str
    uid: int
    volume: str
    volume_uid: int
    not_before: Deadline | None = None
    attempt: int = 1
    kind: Kind = "container"


class EnsureImage(msgspec.Struct, frozen=True):
    """The image of this pin is in the cache, fetched as far as it was not. `moves`: its name means it there."""

    name: str
    uid: int
    pin: ImagePin
    moves: bool = False
    not_before: Deadline | None = None
    attempt: int = 1


class StartRun(msgspec.Struct, frozen=True):
    """Run `run` of this incarnation is alive, made from this spec. Not before `not_before`, if given. `address` is the
    workload's on the bridge, `secret_env` what its secrets are now."""

    name: str
    uid: int
    run: int
    revision: int
    spec: ContainerSpec
    not_before: Deadline | None = None
    attempt: int = 1
    address: str = ""
    secret_env: tuple[SealedEnv, ...] = ()


class StopRun(msgspec.Struct, frozen=True):
    """Run `run` has ended, by its own will within the grace, and its exit is known."""

    name: str
    uid: int
    run: int
    grace_ms: int
    not_before: Deadline | None = None
    attempt: int = 1
    kind: Kind = "container"


class CleanRun(msgspec.Struct, frozen=True):
    """The runtime holds nothing of run `run`, which has ended; its writable layer and its logs stay."""

    name: str
    uid: int
    run: int
    not_before: Deadline | None = None
    attempt: int = 1
    kind: Kind = "container"


class RemoveWorkload(msgspec.Struct, frozen=True):
    """Nothing of this incarnation is left."""

    name: str
    uid: int
    not_before: Deadline | None = None
    attempt: int = 1
    kind: Kind = "container"


VolumeEffect = EnsureVolume | RemoveVolume | TakeSnapshot | RemoveSnapshot | RestoreVolume
"""Goals of a volume: `name` is the volume's. All others are a workload's."""

MountEffect = MountVolume | UnmountVolume
NetworkEffect = EnsureNetwork | AttachNetwork | DetachNetwork
SecretEffect = EnsureSecretFiles | RemoveSecretFiles
RunEffect = EnsureImage | StartRun | StopRun | CleanRun | RemoveWorkload

Effect = VolumeEffect | MountEffect | NetworkEffect | SecretEffect | RunEffect


def kind_of(effect: Effect) -> str:
    """The name under which the effect stands in events and in a printed plan."""
    return type(effect).__name__


def run_of(effect: Effect) -> int:
    """The run the effect speaks of; 0 for the whole workload."""
    return effect.run if isinstance(effect, StartRun | StopRun | CleanRun) else 0


def snapshot_of(effect: Effect) -> int:
    """The uid of the snapshot that the effect takes, removes or brings back; 0 if it is about none."""
    return effect.snapshot if isinstance(effect, TakeSnapshot | RemoveSnapshot | RestoreVolume) else 0


def detail_of(effect: Effect) -> str:
    """What the effect would do, in words for an operator."""
    match effect:
        case EnsureVolume():
            return f"a volume of {effect.size_bytes >> 20} MiB{' from what was imported' if effect.staged else ''}"
        case RemoveVolume():
            return "remove the volume and its snapshots"
        case TakeSnapshot():
            return "take a snapshot of the volume"
        case RemoveSnapshot():
            return "remove a snapshot of the volume"
        case RestoreVolume():
            return "replace the volume's content by a snapshot's"
        case MountVolume():
            return f"mount volume {effect.volume}"
        case UnmountVolume():
            return f"unmount volume {effect.volume}"
        case EnsureSecretFiles():
            return ", ".join(f"{one.path} with version {one.version} of secret {one.secret}" for one in effect.files)
        case RemoveSecretFiles():
            return "no secrets in memory"
        case EnsureNetwork():
            count = len(effect.mappings)
            return f"the bridge with {count} port mapping{'' if count == 1 else 's'}"
        case AttachNetwork():
            return f"a link to the bridge with address {effect.address}"
        case DetachNetwork():
            return "no link to the bridge"
        case EnsureImage():
            return f"fetch {effect.pin.ref} ({effect.pin.platform_digest[:19]})"
        case StartRun():
            return f"start run {effect.run} from {effect.spec.source}"
        case StopRun():
            return f"stop run {effect.run}, within {effect.grace_ms / 1000:g} s"
        case CleanRun():
            return f"clean up after run {effect.run}"
        case RemoveWorkload():
            return f"remove the {KINDS[effect.kind]}, its file system and its logs"
