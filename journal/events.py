"""The closed union of everything that can stand in the journal: immutable facts, in the past tense.

A tag is never renamed or reused. A new field has a default; a changed meaning is a new VERSION with an upcaster
(codec.py). EFFECT says whether a release that does not know an event may still act: "must" entries change the
desired state or what was done to the world, so a release that cannot read one freezes; "may" entries only tell.

One long file on purpose: it is a list, with a heading for each aggregate and nothing but declarations. In a package by
aggregate a new event would stand in three places instead of one, and what a tag means would have to be looked for.
"""

from typing import ClassVar, Literal

import msgspec

from journal.evidence import Cause, Confidence, Evidence, FailedCheck
from journal.specs import (
    ContainerSpec,
    DriftPolicy,
    Fault,
    Health,
    ImagePin,
    Kind,
    PlacedSecret,
    Role,
    UpdateKind,
)


class Event(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", gc=False):
    """Base of every event; the tag of each subclass is its type in the header."""

    VERSION: ClassVar[int] = 1
    EFFECT: ClassVar[Literal["must", "may"]] = "must"


# --- calls: one API request as it reached the daemon -------------------------------------------------------------


class CallAccepted(Event, frozen=True, omit_defaults=True, tag="call.accepted"):
    """A mutating call that was admitted; the entries it led to follow in the same transaction.

    `call_id` and `args_hash` make a repeated call answerable (empty when the client sent no id). `login` is the name
    a local client gave for itself: unverified. `peer` is where it came from; `jti` and `token_exp` (Unix seconds) are
    of the token that was used, so that a restart does not forget it; `arguments` are paths and, of what can be no
    secret, values; `took_us` is the time from the call's arrival to this decision.
    """

    method: str
    objects: tuple[str, ...] = ()
    call_id: str = ""
    args_hash: str = ""
    login: str = ""
    peer: str = ""
    jti: str = ""
    token_exp: int = 0
    arguments: tuple[tuple[str, str], ...] = ()
    took_us: int = 0


class CallRefused(Event, frozen=True, omit_defaults=True, tag="call.refused"):
    """A mutating call that was not admitted. Field paths, never values: a refused value may be a secret.

    `fields` are at fault, `given` are those the call had.
    """

    EFFECT = "may"

    method: str
    reason: str
    code: str
    objects: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    login: str = ""
    peer: str = ""
    jti: str = ""
    token_exp: int = 0
    given: tuple[str, ...] = ()
    took_us: int = 0


class CallDenied(Event, frozen=True, omit_defaults=True, tag="call.denied"):
    """A call that did not come in: its token proves nobody (`claimed` is the key id it names, unproven), or whom it
    proves has no right to it. Rate-limited: `count` alike stand behind one entry, of which it shows the last.
    """

    EFFECT = "may"

    method: str
    reason: str
    code: str
    objects: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    login: str = ""
    peer: str = ""
    jti: str = ""
    token_exp: int = 0
    given: tuple[str, ...] = ()
    took_us: int = 0
    claimed: str = ""
    count: int = 1


class CallRead(Event, frozen=True, omit_defaults=True, tag="call.read"):
    """A read, for the audit stream."""

    EFFECT = "may"

    method: str
    object: str = ""
    login: str = ""
    peer: str = ""


class StreamOpened(Event, frozen=True, omit_defaults=True, tag="stream.opened"):
    """A streaming call that acts has begun; durable before its first byte moves. `user` is the one an exec asked for
    inside the container, empty for the workload's own; `path` what a copy is to or from, as far as it fits."""

    EFFECT = "must"

    method: str
    object: str = ""
    argv: tuple[str, ...] = ()
    tty: bool = False
    login: str = ""
    peer: str = ""
    jti: str = ""
    token_exp: int = 0
    user: str = ""
    path: str = ""


class StreamClosed(Event, frozen=True, omit_defaults=True, tag="stream.closed"):
    """The end of a streaming call: `outcome` is ok, failed, cancelled or lost (the daemon died with it open). `object`
    and `method` are the opened one's, so that who asks for its history sees how it ended, and what that was."""

    EFFECT = "must"

    opened: int
    outcome: str
    bytes_in: int = 0
    bytes_out: int = 0
    exit_code: int | None = None
    reason: str = ""
    took_ms: int = 0
    object: str = ""
    method: str = ""


# --- desired state -----------------------------------------------------------------------------------------------


class AppliedWorkload(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One workload of an apply. `created` and `changed` are admission's verdicts, so that a reader need not fold.

    `changed` is of the spec, which ends the present run; other labels (`relabelled`) do not. `address` is the
    allocator's choice for a workload on the bridge, kept for the incarnation's life. `asked`: what the image's name
    means was asked of its registry, so that the name shall mean it in the cache, too. `depends_on`: workloads that have
    to be ready before it starts, sorted; other ones (`reordered`) end no run. `drift`: what becomes of another hand's
    changes; another policy (`policed`) ends no run. `repaired`: such changes waited for an operator's word: this one.
    `completed`: it has come to its good end, and is not begun again for what this says.
    """

    name: str
    kind: Kind
    container: ContainerSpec
    labels: tuple[tuple[str, str], ...] = ()
    desired: Literal["running", "stopped"] = "running"
    created: bool = False
    changed: bool = False
    address: str = ""
    asked: bool = False
    relabelled: bool = False
    depends_on: tuple[str, ...] = ()
    reordered: bool = False
    drift: DriftPolicy = "repair"
    policed: bool = False
    repaired: bool = False
    completed: bool = False


class WorkloadApplied(Event, frozen=True, omit_defaults=True, tag="workload.applied"):
    """One or more workloads were declared; one entry, so no moment of the past shows half a batch."""

    items: tuple[AppliedWorkload, ...]


class WorkloadStopRequested(Event, frozen=True, omit_defaults=True, tag="workload.stop_requested"):
    """The workload shall be stopped and stay so over reboots."""

    name: str
    uid: int


class WorkloadStartRequested(Event, frozen=True, omit_defaults=True, tag="workload.start_requested"):
    """The workload shall run."""

    name: str
    uid: int


class WorkloadRestartRequested(Event, frozen=True, omit_defaults=True, tag="workload.restart_requested"):
    """The present run shall end and another begin; the desired state stays as it is."""

    name: str
    uid: int


class WorkloadDeleteRequested(Event, frozen=True, omit_defaults=True, tag="workload.delete_requested"):
    """Nothing of the workload shall be left."""

    name: str
    uid: int


class RollbackRequested(Event, frozen=True, omit_defaults=True, tag="rollback.requested"):
    """What is desired shall be again as it was after entry `to_seq`: the entries of the same call beside this one make
    it so. `objects`: the workloads it is about; `left`: those that stay as they are, each with the reason. With a
    `snapshot` it is about a volume's data, which shall be as in that one, which entry `to_seq` asked for."""

    EFFECT = "may"

    to_seq: int
    objects: tuple[str, ...]
    reason: str = ""
    left: tuple[tuple[str, str], ...] = ()
    snapshot: str = ""


# --- operators ---------------------------------------------------------------------------------------------------


class OperatorEnrolled(Event, frozen=True, omit_defaults=True, tag="operator.enrolled"):
    """A key may drive the machine from now. `public_key` is the raw Ed25519 key in hex, `kid` the base64url SHA-256 of
    it; `how`: adopted in the claim window, added by another operator (`added_by`) or with an archive by whoever had it
    taken over, or installed with the machine.
    """

    kid: str
    public_key: str
    operator: str
    role: Role
    how: Literal["adopted", "added", "installed"] = "added"
    added_by: str = ""


class OperatorRemoved(Event, frozen=True, omit_defaults=True, tag="operator.removed"):
    """The key opens nothing any more."""

    kid: str


class OperatorRoleChanged(Event, frozen=True, omit_defaults=True, tag="operator.role_changed"):
    """The key's role is this one from now."""

    kid: str
    role: Role


class OperatorsReset(Event, frozen=True, omit_defaults=True, tag="operators.reset"):
    """Every key was taken off: somebody with the machine itself in hand asked for it."""

    reason: str


# --- effects and observations ------------------------------------------------------------------------------------


class EffectStarted(Event, frozen=True, omit_defaults=True, tag="effect.started"):
    """A runner is about to act. A start allots the run's number, so what is found later has a name."""

    effect: str
    name: str
    uid: int
    run: int = 0
    revision: int = 0
    attempt: int = 1


class EffectDone(Event, frozen=True, omit_defaults=True, tag="effect.done"):
    """The goal was reached; what it led to stands in the observations beside it."""

    effect: str
    name: str
    uid: int
    run: int = 0


class EffectAbandoned(Event, frozen=True, omit_defaults=True, tag="effect.abandoned"):
    """The goal was given up half-way: something else is wanted by now. Nothing that was acted on has changed."""

    EFFECT = "may"

    effect: str
    name: str
    uid: int
    run: int = 0


class EffectFailed(Event, frozen=True, omit_defaults=True, tag="effect.failed"):
    """The goal was not reached. `permanent`: another try without a change would fail the same way. Of a volume's goals,
    `snapshot` and `size_bytes` say what was wanted, where the goal is about one: others may be wanted by now."""

    effect: str
    name: str
    uid: int
    reason: str
    message: str
    run: int = 0
    attempt: int = 1
    retry_delay_ms: int = 0
    permanent: bool = False
    snapshot: int = 0
    size_bytes: int = 0


class WorkloadStarted(Event, frozen=True, omit_defaults=True, tag="workload.started"):
    """The run's process exists. `adopted`: it was found running, not started by this daemon's life. `accelerator`: what
    runs the processors of a microVM, kvm or tcg."""

    name: str
    uid: int
    run: int
    revision: int
    pid: int
    adopted: bool = False
    accelerator: str = ""


class WorkloadExited(Event, frozen=True, omit_defaults=True, tag="workload.exited"):
    """The run's process ended. `streak` and `restart_delay_ms` are the policy's verdict, fixed at this moment.

    `oom`: the kernel killed it for want of memory; `oom_kills`: so many of its processes in all; `memory_limit_bytes`:
    the limit it had, 0 without one. `unexecutable`: it never became the command, for this reason. `gave_up`: the policy
    would restart it, but that was tried as often as it says. `foreign`: another hand killed it. `unasked`: nothing here
    wanted it to end, also where it did so while an effect (its own start) was at work on it. `fault`: what ended the
    machine around it, and it with that; `fault_text` says more, in the words of whoever told it.
    """

    name: str
    uid: int
    run: int
    exit_code: int
    exited_at: int = 0
    oom: bool = False
    restart: bool = False
    restart_delay_ms: int = 0
    streak: int = 0
    gave_up: bool = False
    oom_kills: int = 0
    memory_limit_bytes: int = 0
    unexecutable: str = ""
    foreign: bool = False
    unasked: bool = False
    fault: Fault | None = None
    fault_text: str = ""


class WorkloadOomKilled(Event, frozen=True, omit_defaults=True, tag="workload.oom_killed"):
    """The kernel killed processes of a run for want of memory, `kills` so far, and the run goes on."""

    EFFECT = "may"

    name: str
    uid: int
    run: int
    kills: int
    memory_limit_bytes: int = 0


class WorkloadLost(Event, frozen=True, omit_defaults=True, tag="workload.lost"):
    """The run is gone and left no exit code: power was lost, or somebody else removed it.

    `restart` and what follows is the policy's verdict, as of an end; None in entries from before it was given, which
    meant a restart at once unless the mode is never. `foreign`: another hand removed it. `unborn`: nobody has seen it
    run, and it was to stop: there was nothing to lose.
    """

    name: str
    uid: int
    run: int
    reason: str
    restart: bool | None = None
    restart_delay_ms: int = 0
    streak: int = 0
    gave_up: bool = False
    foreign: bool = False
    unborn: bool = False


class WorkloadHealthChanged(Event, frozen=True, omit_defaults=True, tag="workload.health_changed"):
    """A run's check says something else than before; `message` says how the last of `failures` in a row failed, never
    what the check wrote or was answered. `restart`: the run is to end for it, and the policy to say what follows."""

    name: str
    uid: int
    run: int
    health: Health
    failures: int = 0
    message: str = ""
    restart: bool = False


class WorkloadStable(Event, frozen=True, omit_defaults=True, tag="workload.stable"):
    """A run that followed ends in a row has lasted for as long as its restart policy calls stable: the row is over. A
    release that does not know of it goes on counting, as it always did."""

    EFFECT = "may"

    name: str
    uid: int
    run: int


class WorkloadLogDropped(Event, frozen=True, omit_defaults=True, tag="workload.log_dropped"):
    """Output of a run could not be kept: its disk was full. `dropped_bytes` is how much at most; `stream` is stdout
    or stderr. The run went on."""

    EFFECT = "may"

    name: str
    uid: int
    run: int
    stream: str
    dropped_bytes: int


class WorkloadRemoved(Event, frozen=True, omit_defaults=True, tag="workload.removed"):
    """Nothing of this incarnation is left in the world."""

    name: str
    uid: int


# --- volumes -----------------------------------------------------------------------------------------------------


class VolumeApplied(Event, frozen=True, omit_defaults=True, tag="volume.applied"):
    """The volume was declared with this size: new (`created`), or to grow. `drift`: what becomes of another hand's
    changes from now on; None: as before. What of them waited for an operator's word is mended; it is all that is said
    where the size is as it was (`same_size`). `staged`: its content is not empty but what came under this name, whole
    and proven; of a volume that was lost, in the place of what it had."""

    name: str
    size_bytes: int
    created: bool = False
    drift: DriftPolicy | None = None
    same_size: bool = False
    staged: str = ""


class VolumeDeleteRequested(Event, frozen=True, omit_defaults=True, tag="volume.delete_requested"):
    """Neither the volume nor a snapshot of it shall be left. `detached`: the workloads it is taken from."""

    name: str
    uid: int
    detached: tuple[str, ...] = ()


class VolumeMade(Event, frozen=True, omit_defaults=True, tag="volume.made"):
    """The volume is there with a file system of this size."""

    name: str
    uid: int
    size_bytes: int


class VolumeMounted(Event, frozen=True, omit_defaults=True, tag="volume.mounted"):
    """The volume is mounted for a workload."""

    name: str
    uid: int
    workload: str
    workload_uid: int


class VolumeUnmounted(Event, frozen=True, omit_defaults=True, tag="volume.unmounted"):
    """The volume is not mounted; everything written is on the disk. `reason`: it was not this machine's own doing."""

    name: str
    uid: int
    reason: str = ""


class VolumeRemoved(Event, frozen=True, omit_defaults=True, tag="volume.removed"):
    """Nothing of this incarnation is left."""

    name: str
    uid: int


class VolumeLost(Event, frozen=True, omit_defaults=True, tag="volume.lost"):
    """The storage does not have the volume any more, and nobody here removed it. It is not made anew by itself.
    `mounted`: what was mounted of it still is, for its holder."""

    name: str
    uid: int
    mounted: bool = False


class VolumeDrifted(Event, frozen=True, omit_defaults=True, tag="volume.drifted"):
    """Another hand took the mount that a workload holds (`unmounted`), or its file system takes no writes any more
    (`read-only`). Whoever has the volume open goes on with it."""

    name: str
    uid: int
    how: Literal["unmounted", "read-only"]


class VolumeFilling(Event, frozen=True, omit_defaults=True, tag="volume.filling"):
    """A file system has passed a mark, up or down. Without a name: the storage under all volumes."""

    EFFECT = "may"

    percent: int
    used_bytes: int
    total_bytes: int
    name: str = ""
    uid: int = 0


class SnapshotRequested(Event, frozen=True, omit_defaults=True, tag="snapshot.requested"):
    """A snapshot of the volume shall be taken. `safety`: before a restore, so that it can be taken back."""

    name: str
    uid: int
    label: str
    safety: bool = False


class SnapshotTaken(Event, frozen=True, omit_defaults=True, tag="snapshot.taken"):
    """The snapshot is there. `method` says whether it shares its blocks (thin, reflink) or is a copy."""

    name: str
    uid: int
    snapshot: int
    size_bytes: int
    method: str


class SnapshotDeleteRequested(Event, frozen=True, omit_defaults=True, tag="snapshot.delete_requested"):
    """The snapshot shall be gone."""

    name: str
    uid: int
    snapshot: int


class SnapshotRemoved(Event, frozen=True, omit_defaults=True, tag="snapshot.removed"):
    """The snapshot is gone."""

    name: str
    uid: int
    snapshot: int


class VolumeRestoreRequested(Event, frozen=True, omit_defaults=True, tag="volume.restore_requested"):
    """The volume's content shall be the snapshot's again; whatever uses it is stopped meanwhile."""

    name: str
    uid: int
    snapshot: int


class VolumeRestored(Event, frozen=True, omit_defaults=True, tag="volume.restored"):
    """The volume's content is the snapshot's."""

    name: str
    uid: int
    snapshot: int


# --- the network -------------------------------------------------------------------------------------------------


class NetworkEnsured(Event, frozen=True, omit_defaults=True, tag="network.ensured"):
    """Bridge and rules are as they were wanted at entry `upto`."""

    upto: int
    mappings: int = 0


class NetworkAttached(Event, frozen=True, omit_defaults=True, tag="network.attached"):
    """The workload's link to the bridge exists, and a container's network namespace. `anew`: it was made under a run,
    which cannot get at it: that run is replaced."""

    name: str
    uid: int
    address: str
    anew: bool = False


class NetworkDetached(Event, frozen=True, omit_defaults=True, tag="network.detached"):
    """Nothing of the workload's link is left; its address is free."""

    name: str
    uid: int


class NetworkDrifted(Event, frozen=True, omit_defaults=True, tag="network.drifted"):
    """Another hand changed or removed what is ours: the link of one workload, or (without a name) bridge or rules."""

    what: str
    name: str = ""
    uid: int = 0


class Readdressed(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A workload's new address on the bridge."""

    name: str
    uid: int
    address: str


class NetworkMoved(Event, frozen=True, omit_defaults=True, tag="network.moved"):
    """The bridge has another subnet from now, and workloads on it these addresses. A run that knows its old one is
    followed by another."""

    subnet: str
    items: tuple[Readdressed, ...]


# --- images ------------------------------------------------------------------------------------------------------


class PushedImage(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One image name that an archive brought."""

    pin: ImagePin
    size_bytes: int = 0


class ImagePushed(Event, frozen=True, omit_defaults=True, tag="image.pushed"):
    """An archive was loaded into the image cache."""

    images: tuple[PushedImage, ...]
    bytes_received: int = 0


class ImagePulled(Event, frozen=True, omit_defaults=True, tag="image.pulled"):
    """An image was brought from its registry into the image cache. One without a `ref` is there under its digest."""

    images: tuple[PushedImage, ...]
    bytes_received: int = 0


class ImageRemovalRequested(Event, frozen=True, omit_defaults=True, tag="image.removal_requested"):
    """Names and digests shall leave the image cache; with `partial` also what interrupted pushes and pulls left."""

    refs: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    partial: bool = False


class ImageRemoved(Event, frozen=True, omit_defaults=True, tag="image.removed"):
    """Names and digests have left the image cache, and this much of the disk is free again."""

    refs: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    partial: bool = False
    freed_bytes: int = 0


class ImageFound(Event, frozen=True, omit_defaults=True, tag="image.found"):
    """The image cache holds what the journal did not know: another tool's, or a push whose daemon died at its end.
    An image without a `ref` is there under its digest alone."""

    images: tuple[PushedImage, ...]


class ImageLost(Event, frozen=True, omit_defaults=True, tag="image.lost"):
    """The image cache does not hold any more what the journal said: somebody else removed it."""

    refs: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()


# --- registries --------------------------------------------------------------------------------------------------


class RegistryConfigured(Event, frozen=True, omit_defaults=True, tag="registry.configured"):
    """How a registry is to be reached from now on. `secret` (user and password) and `ca` (certificates to trust) are
    names in the sealed store."""

    host: str
    username: str = ""
    secret: str = ""
    ca: str = ""
    ca_bytes: int = 0
    plain_http: bool = False


class RegistryForgotten(Event, frozen=True, omit_defaults=True, tag="registry.forgotten"):
    """Nothing is known of the registry any more."""

    host: str


# --- secrets -----------------------------------------------------------------------------------------------------


class SecretCreated(Event, frozen=True, omit_defaults=True, tag="secret.created"):
    """A secret has its first value, in the sealed store under `sealed`. `text`: it can be an environment variable."""

    name: str
    sealed: str
    size_bytes: int = 0
    text: bool = False


class SecretRotated(Event, frozen=True, omit_defaults=True, tag="secret.rotated"):
    """A secret has another value, its `version`-th; or `again` the one that it had, which could not be opened."""

    name: str
    uid: int
    version: int
    sealed: str
    size_bytes: int = 0
    text: bool = False
    again: bool = False


class SecretRevealed(Event, frozen=True, omit_defaults=True, tag="secret.revealed"):
    """Somebody was told this version's value."""

    EFFECT = "may"

    name: str
    uid: int
    version: int


class WorkloadEnvRevealed(Event, frozen=True, omit_defaults=True, tag="workload.env_revealed"):
    """Somebody was told the values of these variables, as this revision has them."""

    EFFECT = "may"

    name: str
    uid: int
    revision: int
    variables: tuple[str, ...]


class SecretRemoved(Event, frozen=True, omit_defaults=True, tag="secret.removed"):
    """The secret is gone, and its value destroyed."""

    name: str
    uid: int


class SecretFilesPlaced(Event, frozen=True, omit_defaults=True, tag="secret.files_placed"):
    """The workload has just these files in memory, for the run that begins or in the one that goes on."""

    name: str
    uid: int
    files: tuple[PlacedSecret, ...]


class SecretFilesRemoved(Event, frozen=True, omit_defaults=True, tag="secret.files_removed"):
    """The workload has no files of secrets in memory any more. `reason`: nobody here removed them."""

    name: str
    uid: int
    reason: str = ""


# --- drift -------------------------------------------------------------------------------------------------------


class DriftFound(Event, frozen=True, omit_defaults=True, tag="drift.found"):
    """Another hand changed the world: an object of this `kind` (workload, volume, image, or network, which has no name)
    differs in `aspect`, as entry `observed` says. `repair`: it is mended without a further word."""

    EFFECT = "may"

    kind: str
    name: str
    aspect: str
    observed: int
    what: str
    repair: bool = False


class DriftResolved(Event, frozen=True, omit_defaults=True, tag="drift.resolved"):
    """What entry `observed` told of is so no more: it was mended (`how` is repaired), or is not wanted any more
    (dropped)."""

    EFFECT = "may"

    kind: str
    name: str
    aspect: str
    observed: int
    how: Literal["repaired", "dropped"]


# --- the machine -----------------------------------------------------------------------------------------------------


class MachineInstalled(Event, frozen=True, omit_defaults=True, tag="machine.installed"):
    """An installer of this release made the disk; `sealed`: for an operator, whose key came with it."""

    EFFECT = "may"

    by_release: str
    disk: str
    sealed: bool = False


class BootStage(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A part of a boot: when it began, since the kernel did, and what it took. `problem`: it did not succeed."""

    name: str
    began_ms: int
    took_ms: int
    problem: str = ""


class BootCompleted(Event, frozen=True, omit_defaults=True, tag="boot.completed"):
    """The machine is up: the API answered `ready_ms` after the kernel began, and everything else is up, too."""

    EFFECT = "may"

    stages: tuple[BootStage, ...]
    ready_ms: int = 0


class MachineEndRequested(Event, frozen=True, omit_defaults=True, tag="machine.end_requested"):
    """The machine shall be switched off, or started anew: workloads end in their order. `by`: the button, where it was
    no call."""

    EFFECT = "may"

    order: Literal["reboot", "poweroff"]
    by: str = ""


class GrownPart(msgspec.Struct, frozen=True, gc=False):
    """What has another size: `partition`, `perm`, `journal` or `pool`."""

    name: str
    before_bytes: int
    after_bytes: int


class DiskGrowthRequested(Event, frozen=True, omit_defaults=True, tag="disk.growth_requested"):
    """What the disk has and nobody uses shall be taken."""

    EFFECT = "may"


class DiskGrown(Event, frozen=True, omit_defaults=True, tag="disk.grown"):
    """What is on the disk that the machine boots from has grown: on request, or on its first boot."""

    EFFECT = "may"

    disk: str
    parts: tuple[GrownPart, ...]


class DiskGrowthFailed(Event, frozen=True, omit_defaults=True, tag="disk.growth_failed"):
    """It has not, or not all of it."""

    EFFECT = "may"

    disk: str
    problem: str


class ClockStepped(Event, frozen=True, omit_defaults=True, tag="clock.stepped"):
    """The machine's clock was set, by so much, as a server on the network told the time, or set back by somebody else:
    `its host`."""

    EFFECT = "may"

    by_ms: int
    server: str


class UplinkChanged(Event, frozen=True, omit_defaults=True, tag="uplink.changed"):
    """The machine reaches the LAN by this interface, and has this address there; `how` is dhcp or static."""

    EFFECT = "may"

    interface: str
    address: str
    how: str


# --- updates of the system -------------------------------------------------------------------------------------------


class UpdateBegun(Event, frozen=True, omit_defaults=True, tag="update.begun"):
    """The other slot is to have another system: this entry's number is the update's own. From here on that slot cannot
    be counted on until `update.staged`.

    `version`, `commit` and `built` (Unix seconds) are of the new system, the `from_` ones of that which runs. `kind`
    rollback: the slot's content is there already. `signed_by`: the key whose signature the bundle has; empty: none, and
    no key was enrolled. `from_level`: the `must` events that the present system reads, with their versions: nothing
    else may be written before the new one is confirmed. `window_s`: how long it may run unconfirmed, since its kernel
    began. `confirm_when` healthy: it is confirmed by itself once it has been well for `soak_s`. `retried`: the update
    with the same system that failed before. `keeps`: volumes of which a snapshot `snapshot` is taken before it is
    armed; `data_of`: the update whose snapshots the system that is gone back to shall find. `uid`: the update's own
    number, where it was begun while the journal took nothing; 0: this entry's.
    """

    slot: str
    version: str
    commit: str
    built: int
    from_slot: str
    from_version: str
    from_commit: str
    kind: UpdateKind = "push"
    signed_by: str = ""
    size_bytes: int = 0
    from_level: tuple[tuple[str, int], ...] = ()
    window_s: int = 900
    confirm_when: Literal["operator", "healthy"] = "operator"
    soak_s: int = 60
    downgrade: bool = False
    retried: int = 0
    keeps: tuple[str, ...] = ()
    snapshot: str = ""
    data_of: int = 0
    uid: int = 0


class UpdateStaged(Event, frozen=True, omit_defaults=True, tag="update.staged"):
    """The slot holds the new system: both images were written, read back and found to be what the manifest says."""

    uid: int
    boot_sha256: str
    root_sha256: str
    boot_bytes: int
    root_bytes: int
    took_ms: int = 0


class UpdateStagingFailed(Event, frozen=True, omit_defaults=True, tag="update.staging_failed"):
    """What came was no good, or did not come whole. Nothing was armed; the slot cannot be booted. `default_slot`: what
    the boot loader boots by itself since, where it had booted that only because its default could not be loaded."""

    uid: int
    reason: str
    message: str
    default_slot: str = ""


class UpdateArming(Event, frozen=True, omit_defaults=True, tag="update.arming"):
    """The boot loader is about to be told to boot the new system once. `uplink`: the machine has an address on the LAN;
    `running`: workloads that run and are well: so it shall be afterwards."""

    uid: int
    uplink: bool = False
    running: tuple[str, ...] = ()


class UpdateArmed(Event, frozen=True, omit_defaults=True, tag="update.armed"):
    """The boot loader boots the new system next, once. `recovered`: power was lost before this could be said, and what
    the loader holds says it."""

    uid: int
    recovered: bool = False


class UpdateDisarmed(Event, frozen=True, omit_defaults=True, tag="update.disarmed"):
    """The new system is not to be booted: an operator said so (`operator`), the boot loader's variables could not be
    written (`write-failed`), power was lost before they were (`never-written`), or they were `damaged` since, so that
    nobody knows whether it was booted."""

    uid: int
    reason: Literal["operator", "write-failed", "never-written", "damaged"]
    message: str = ""


class BootStarted(Event, frozen=True, omit_defaults=True, tag="boot.started"):
    """The machine booted this slot; the boot loader's default is `default_slot`. `tentative`: it is the new system of
    update `uid`, to be confirmed before `deadline_mono_ns` of this boot. `tried`: the update whose one boot the loader
    says it gave. `boot`: which boot it was, where the journal took nothing then; empty: this entry's."""

    slot: str
    default_slot: str
    release: str
    kernel: str = ""
    tentative: bool = False
    uid: int = 0
    deadline_mono_ns: int = 0
    tried: int = 0
    boot: str = ""


class UpdateHealthChanged(Event, frozen=True, omit_defaults=True, tag="update.health_changed"):
    """What the health gate says of the tentative system changed; nothing fails: it is well. Checks are `api`, `state`,
    `uplink` and `workload/NAME`."""

    EFFECT = "may"

    uid: int
    failing: tuple[FailedCheck, ...] = ()


class UpdateConfirming(Event, frozen=True, omit_defaults=True, tag="update.confirming"):
    """The new system is to stay: the boot loader's default is about to be changed. `how`: an operator said so, or it
    has been healthy for as long as was asked for; by-hand: the boot loader's default is its slot already, by another
    hand, or by a word that is not known here."""

    uid: int
    how: Literal["operator", "healthy", "by-hand"]


class UpdateConfirmed(Event, frozen=True, omit_defaults=True, tag="update.confirmed"):
    """The new system is the one that boots. `recovered`: as of `update.armed`."""

    uid: int
    slot: str
    recovered: bool = False


class UpdateReturning(Event, frozen=True, omit_defaults=True, tag="update.returning"):
    """The tentative system itself starts the machine anew, to go back, and says why. `with_data`: the volumes of which
    a snapshot was taken before the update shall be as they were then."""

    uid: int
    cause: Cause
    message: str = ""
    with_data: bool = False


class UpdateEvidenceFound(Event, frozen=True, omit_defaults=True, tag="update.evidence_found"):
    """What the tentative boot of an update left behind, as the boot after it found it; what is concluded from that
    stands in the entry that says that the update was rolled back."""

    EFFECT = "may"

    uid: int
    evidence: Evidence


class UpdateRolledBack(Event, frozen=True, omit_defaults=True, tag="update.rolled_back"):
    """The trial is over, and the machine runs the system that it had before: why, how far that is known, the `evidence`
    it rests on, and where nothing was found, what was `looked_for`. `boot` is the boot of the system that was tried,
    empty where none is known. `runs`: the slot of that system, where it runs all the same, unconfirmed, because the
    boot loader booted it in place of its default."""

    uid: int
    cause: Cause
    message: str = ""
    confidence: Confidence = "certain"
    evidence: tuple[str, ...] = ()
    looked_for: tuple[str, ...] = ()
    boot: str = ""
    runs: str = ""


class UpdateKeyEnrolled(Event, frozen=True, omit_defaults=True, tag="update.key_enrolled"):
    """Bundles must be signed by this key from now on, or another one that is enrolled. `public_key` is the raw Ed25519
    key in hex, `kid` the base64url SHA-256 of it."""

    kid: str
    public_key: str
    name: str = ""


class UpdateKeyRemoved(Event, frozen=True, omit_defaults=True, tag="update.key_removed"):
    """Its signatures are worth nothing any more."""

    kid: str


# --- the daemon and the journal itself ---------------------------------------------------------------------------


class DaemonStarted(Event, frozen=True, omit_defaults=True, tag="daemon.started"):
    """A life of the daemon began. `previous`: first, clean, crash, or power-lost (another boot id, no clean end).

    `keeps_streaks`: a new boot does not forget how often a workload ended in a row; before this field, it did.
    """

    mode: Literal["hosted", "os"]
    previous: str
    pid: int = 0
    keeps_streaks: bool = False


class DaemonCrashed(Event, frozen=True, omit_defaults=True, tag="daemon.crashed"):
    """A former life of the daemon ended as it should not, as PID 1 saw it. `how`: `exit 1`, a signal's name, or hung:
    it did not answer any more; `mono` when, since the machine's start; `trace` the places of its last traceback, the
    innermost last, and `error` the kind of error, without its message, which may hold anything."""

    EFFECT = "may"

    how: str
    lived_ms: int
    mono: int = 0
    trace: tuple[str, ...] = ()
    error: str = ""


class DaemonStopped(Event, frozen=True, omit_defaults=True, tag="daemon.stopped"):
    """A clean end, of the daemon alone: what runs is not ended by it."""

    reason: str


class EmergencyRecovered(Event, frozen=True, omit_defaults=True, tag="emergency.recovered"):
    """An action taken while the journal could not write, read in from the side log. It changed no desired state."""

    action: str
    name: str = ""
    uid: int = 0
    at: int = 0


class MachineHalted(Event, frozen=True, omit_defaults=True, tag="machine.halted"):
    """Everything that ran was ended on an operator's word (`--halt`), as if the machine had been switched off.

    `at`: when, in wall nanoseconds, and in which `boot`: what ran in that one ended then, and what ran in another has
    lost its power. Where no boot is named, all that ran ended at this entry, which the next start has told.
    """

    at: int = 0
    boot: str = ""


class JournalExcised(Event, frozen=True, omit_defaults=True, tag="journal.excised"):
    """The bodies of these entries were removed for ever; their headers still prove the rest."""

    seqs: tuple[int, ...]
    reason: str = ""


class JournalCheckpointed(Event, frozen=True, omit_defaults=True, tag="journal.checkpointed"):
    """Entries up to `upto` may be cut: the fold of them has this hash in this view."""

    upto: int
    view: int
    state_hash: str
    head_hash: str
    exported_to: str = ""


class JournalRestored(Event, frozen=True, omit_defaults=True, tag="journal.restored"):
    """What stands before this entry came from an archive that ended at entry `upto`, whose hash is `head_hash`; it was
    exported by this `release`. `values`: so many sealed values came with it. `login` is of who asked, unverified. What
    ran where the archive is from runs on there, or not at all. `apart`: no slot and no update under way came along, and
    in this boot nobody may adopt the machine."""

    upto: int
    head_hash: str
    release: str = ""
    values: int = 0
    login: str = ""
    apart: bool = False


EVENT_TYPES: tuple[type[Event], ...] = tuple(Event.__subclasses__())
"""Every event this release can read and write, in the order of the manual's catalogue."""


def type_of(event: Event | type[Event]) -> str:
    """The event's exact tag, as it stands in the header."""
    tag = event.__struct_config__.tag
    assert isinstance(tag, str)
    return tag
