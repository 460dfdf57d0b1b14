"""Calls as admission sees them: imperative, resolved (digests, sealed values), free of wire types."""

from typing import Literal

import msgspec

from journal.events import Event
from journal.specs import ContainerSpec, DriftPolicy, ImagePin, Kind, Role
from projections.abilities import UNKNOWN, Abilities
from projections.host_network import UNSEEN, HostNetwork
from projections.refusals import Refusal
from projections.update_intents import UpdateIntent

DEFAULT_SUBNET = "172.20.254.0/24"
"""Of the bridge, where whoever starts the daemon says nothing else."""


class Declared(msgspec.Struct, frozen=True):
    """One workload of an apply. `resolved` is what `image_ref` means, or None where nobody knows (`unresolved`: why).
    `cached`: it was found in the image cache, so it must not have left since; `asked`: its registry was asked.

    `spec.image` is filled in by admission, which alone knows whether the old pin stays. `absent_paths` are those of the
    machine's paths it names that do not exist, `silent_paths` those that give no answer, each with the field that names
    it.
    """

    name: str
    kind: Kind
    spec: ContainerSpec
    image_ref: str
    resolved: ImagePin | None = None
    cached: bool = False
    asked: bool = False
    unresolved: Refusal | None = None
    labels: tuple[tuple[str, str], ...] = ()
    desired: Literal["running", "stopped"] = "running"
    absent_paths: tuple[tuple[str, str], ...] = ()
    silent_paths: tuple[tuple[str, str], ...] = ()
    depends_on: tuple[str, ...] = ()
    drift: DriftPolicy = "repair"


class DeclaredVolume(msgspec.Struct, frozen=True):
    """One volume of an apply: made if it is missing, grown if it is smaller."""

    name: str
    size_bytes: int
    drift: DriftPolicy = "repair"


class Apply(msgspec.Struct, frozen=True):
    """Declare workloads and volumes, all or none. `subnet` is the bridge's here: addresses are chosen from it;
    `abilities` is what the machine has for containers, `host` who has which of its ports at this moment.
    """

    workloads: tuple[Declared, ...]
    expect_seq: int | None = None
    pull: bool = False
    subnet: str = DEFAULT_SUBNET
    abilities: Abilities = UNKNOWN
    host: HostNetwork = UNSEEN
    volumes: tuple[DeclaredVolume, ...] = ()


class Rollback(msgspec.Struct, frozen=True):
    """Have what is desired as it was after entry `to_seq`: `apply` declares it again, `gone` did not exist then. `left`
    are those that cannot go back, each with the reason. `name`: the one that was asked for; empty: all were."""

    apply: Apply
    to_seq: int
    gone: tuple[str, ...] = ()
    left: tuple[tuple[str, str], ...] = ()
    reason: str = ""
    name: str = ""
    expect_seq: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The workloads that go back."""
        return (*(declared.name for declared in self.apply.workloads), *self.gone)


class Delete(msgspec.Struct, frozen=True):
    """Leave nothing of a workload."""

    name: str
    expect_seq: int | None = None


class Stop(msgspec.Struct, frozen=True):
    """Stop a workload until it is started again."""

    name: str
    expect_seq: int | None = None


class Start(msgspec.Struct, frozen=True):
    """Run a workload."""

    name: str
    expect_seq: int | None = None


class Restart(msgspec.Struct, frozen=True):
    """End the present run and begin another."""

    name: str
    expect_seq: int | None = None


class CreateVolume(msgspec.Struct, frozen=True):
    """Make a volume that does not exist yet."""

    name: str
    size_bytes: int


class ImportVolume(msgspec.Struct, frozen=True):
    """Make a volume of what came under the name `staged`, or give one that is lost its content back."""

    name: str
    size_bytes: int
    staged: str


class ResizeVolume(msgspec.Struct, frozen=True):
    """Let a volume grow."""

    name: str
    size_bytes: int


class DeleteVolume(msgspec.Struct, frozen=True):
    """Leave nothing of a volume; with `force` also when workloads mount it, which are stopped."""

    name: str
    force: bool = False


class TakeSnapshot(msgspec.Struct, frozen=True):
    """Keep a volume as it is now under `label`."""

    name: str
    label: str


class DeleteSnapshot(msgspec.Struct, frozen=True):
    """Forget a snapshot."""

    name: str
    label: str


class RestoreVolume(msgspec.Struct, frozen=True):
    """Bring a volume back to a snapshot. `safety_label` names the snapshot taken before; empty: none is. `rollback`: it
    was asked for as one, for this `reason`."""

    name: str
    label: str
    safety_label: str = ""
    rollback: bool = False
    reason: str = ""
    expect_seq: int | None = None


class Adopt(msgspec.Struct, frozen=True):
    """Enrol the first key. `boot` and `mono_ns` are now: the claim window closes by them."""

    kid: str
    public_key: str
    name: str
    boot: str
    mono_ns: int


class AddKey(msgspec.Struct, frozen=True):
    """Enrol a further key; `by` is the key id of whoever asks, empty on the machine itself."""

    kid: str
    public_key: str
    name: str
    role: Role
    by: str = ""


class RemoveKey(msgspec.Struct, frozen=True):
    """Let a key open nothing any more."""

    kid: str


class ChangeRole(msgspec.Struct, frozen=True):
    """Give an enrolled key another role."""

    kid: str
    role: Role


class RemoveImage(msgspec.Struct, frozen=True):
    """Take a name out of the image cache, and with its last name the image; a digest as `ref` means all its names."""

    ref: str


class CollectImages(msgspec.Struct, frozen=True):
    """Take out of the image cache what no workload's last revisions need: what has no name, or `everything`."""

    everything: bool = False


KeyIntent = Adopt | AddKey | RemoveKey | ChangeRole
VolumeIntent = CreateVolume | ImportVolume | ResizeVolume | DeleteVolume | TakeSnapshot | DeleteSnapshot | RestoreVolume


class ConfigureRegistry(msgspec.Struct, frozen=True):
    """Reach a registry like this. `secret` and `ca` are names in the sealed store, or nothing."""

    host: str
    username: str = ""
    secret: str = ""
    ca: str = ""
    ca_bytes: int = 0
    plain_http: bool = False


class ForgetRegistry(msgspec.Struct, frozen=True):
    """Know nothing of a registry any more."""

    host: str


class CreateSecret(msgspec.Struct, frozen=True):
    """Keep a value under a name. `sealed` is the value's name in the sealed store; `text`: it can be an environment
    variable."""

    name: str
    sealed: str
    size_bytes: int
    text: bool = False


class RotateSecret(msgspec.Struct, frozen=True):
    """Give a secret another value."""

    name: str
    sealed: str
    size_bytes: int
    text: bool = False


class RevealSecret(msgspec.Struct, frozen=True):
    """Be told a secret's value."""

    name: str


class RevealEnv(msgspec.Struct, frozen=True):
    """Be told the values of a workload's environment."""

    name: str


class RemoveSecret(msgspec.Struct, frozen=True):
    """Destroy a secret."""

    name: str


class EndMachine(msgspec.Struct, frozen=True):
    """Switch the machine off, or start it anew."""

    order: Literal["reboot", "poweroff"]


class GrowDisk(msgspec.Struct, frozen=True):
    """Take what the disk has and nobody uses."""


class Checkpoint(msgspec.Struct, frozen=True):
    """Let history begin behind entry `upto`, the state after which has this hash in this view; with `excised`, entries
    with the event that each is (None: an unknown one), only what those say goes, for this `reason`."""

    upto: int
    view: int
    state_hash: str
    head_hash: str
    exported_to: str = ""
    excised: tuple[tuple[int, Event | None], ...] = ()
    reason: str = ""


SecretIntent = CreateSecret | RotateSecret | RevealSecret | RemoveSecret
ImageIntent = RemoveImage | CollectImages | ConfigureRegistry | ForgetRegistry
WorkloadIntent = Apply | Rollback | Delete | Stop | Start | Restart | RevealEnv
MachineIntent = Checkpoint | EndMachine | GrowDisk | UpdateIntent
Intent = WorkloadIntent | VolumeIntent | KeyIntent | ImageIntent | SecretIntent | MachineIntent
