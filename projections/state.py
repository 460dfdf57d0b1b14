"""The state tree: everything the journal's fold knows, as frozen records in plain dicts.

`Machine` itself is the fold's own scratch pad: it is changed in place by `fold` (a copy per event would make replay
slower than the disk) and handed to nobody who writes. The records in it are frozen: a reader may keep one.

It is one long file because it has one job, to say what the state is made of: its records name each other up to
`Machine`, are hashed, compared and kept in snapshots as one tree, and hold hardly any code.
"""

from typing import Literal

import msgspec

from journal.evidence import Cause, Confidence
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
from projections.phases import RunPhase
from projections.update_phases import UpdatePhase

Desired = Literal["running", "stopped", "deleting"]


class Deadline(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A moment on the monotonic clock of one boot; in another boot it has passed."""

    boot: str
    mono_ns: int


class Foreign(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What another hand changed and nobody has mended yet, and the entry that told of it. `aspect` is one word for what
    it is about; `repair`: it is mended without a further word."""

    aspect: str
    what: str
    seq: int
    at: int
    repair: bool = False


class Run(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One life of a workload's process. `revision` is the spec it was started from.

    `again`: its end is to be followed by another run; `gave_up`: it is not, only because that was tried too often.
    `cleaned`: the runtime holds nothing of it any more. `oom`: it was killed for want of memory; `oom_kills`: so many
    of its processes were; `unexecutable`: why it never became the command. `spec`: what it was started from, once the
    workload is declared otherwise; until then it is the workload's own. `health`: what its check said last, None before
    that; `ailing`: it is to end for it. `outdated`: the secrets of whose values it has former ones in its environment.
    `ended_seq`: the entry that told of its end; `foreign`: another hand ended it. `fault`: the machine around it ended.
    `accelerator`: what runs its processors, of a microVM.
    """

    number: int
    revision: int
    phase: RunPhase
    pid: int = 0
    started_at: int = 0
    started_mono: int = 0
    boot: str = ""
    finished_at: int = 0
    exit_code: int | None = None
    oom: bool = False
    reason: str = ""
    again: bool = False
    cleaned: bool = False
    gave_up: bool = False
    oom_kills: int = 0
    memory_limit_bytes: int = 0
    unexecutable: str = ""
    spec: ContainerSpec | None = None
    health: Health | None = None
    health_at: int = 0
    health_message: str = ""
    ailing: bool = False
    outdated: tuple[str, ...] = ()
    ended_seq: int = 0
    foreign: Foreign | None = None
    fault: Fault | None = None
    fault_text: str = ""
    accelerator: str = ""


class Trouble(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The last failure of the effect that is due, until it succeeds or is not due any more; `permanent`, of what was
    given up, until the desired state changes. What it was about, of a volume: a `snapshot`, or a size. `seq` is the
    entry that told of it."""

    effect: str
    reason: str
    message: str
    at: int
    attempt: int
    retry_delay_ms: int = 0
    permanent: bool = False
    snapshot: int = 0
    size_bytes: int = 0
    seq: int = 0


class Revision(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One spec a workload had: the image it was pinned to, and the sealed values that it named. They stay as long as
    this is remembered, so that a rollback finds them."""

    seq: int
    image: ImagePin
    sealed: tuple[str, ...] = ()


class Workload(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One incarnation of a workload: what is wanted, and what was seen. `uid` is the seq that created it.

    `superseded`: runs up to this number are not wanted any more (stopped, restarted, replaced); `streak`: ends in a
    row that called for a restart; `hold`: no try before this moment (`hold_until_wall` is the same for people);
    `pause`: the policy's own, after an end, which no failure or success of an effect in between makes shorter;
    `last_run`: the run before the present one, if it ended. `address` is its own on the bridge, from the first apply
    that puts it there until nothing of its link is left; `attached`: namespace and link are there. `asked`: the name of
    its image is to mean in the cache what its registry said; `pulling`: it is being fetched. `depends_on`: those that
    have to be ready before it starts. `drift`: what becomes of another hand's changes; `unlinked`: it took the link.
    `word_seq` and `word_at`: the last entry by which an operator said something about it.
    `secret_files`: what it has of secrets in memory; `secret_traces`: there may be more of them, of a try of which
    nobody knows how far it came.
    """

    name: str
    uid: int
    kind: Kind
    spec: ContainerSpec
    revision: int
    desired_seq: int
    created_at: int
    desired: Desired = "running"
    labels: tuple[tuple[str, str], ...] = ()
    revisions: tuple[Revision, ...] = ()
    run: Run | None = None
    restarts: int = 0
    streak: int = 0
    superseded: int = 0
    hold: Deadline | None = None
    hold_until_wall: int = 0
    trouble: Trouble | None = None
    last_run: Run | None = None
    pause: Deadline | None = None
    pause_until_wall: int = 0

    @property
    def completed(self) -> bool:
        """Whether it ran as it is declared, to its good end, and is not to run again by itself."""
        run = self.run
        if run is None or run.number <= self.superseded or run.revision != self.revision:
            return False
        return run.phase is RunPhase.EXITED and run.exit_code == 0 and not (run.again or run.ailing)

    @property
    def next_start(self) -> Deadline | None:
        """No run begins before this moment. Both deadlines are of the present boot: another one clears them."""
        later = [one for one in (self.hold, self.pause) if one is not None]
        return max(later, key=lambda one: one.mono_ns) if later else None

    @property
    def retry(self) -> Deadline | None:
        """What failed is not tried again before this moment. Without trouble `hold` is the pause between two runs,
        which holds up nothing else: neither a volume that is to go nor what is left of the run."""
        return self.hold if self.trouble is not None else None

    def retry_of(self, effect: str) -> Deadline | None:
        """The same for what waits for nothing but its own last try: another one's failure says nothing of it."""
        return self.hold if self.trouble is not None and self.trouble.effect == effect else None

    address: str = ""
    attached: bool = False
    asked: bool = False
    pulling: bool = False
    depends_on: tuple[str, ...] = ()
    drift: DriftPolicy = "repair"
    unlinked: Foreign | None = None
    word_seq: int = 0
    word_at: int = 0
    secret_files: tuple[PlacedSecret, ...] = ()
    secret_traces: bool = False


class Snapshot(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A volume as it was at one moment. `taken`: it is there; `leaving`: it shall be gone."""

    uid: int
    label: str
    requested_at: int
    size_bytes: int = 0
    method: str = ""
    safety: bool = False
    taken: bool = False
    leaving: bool = False


class Volume(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One incarnation of a volume. `made_bytes` is the size it was last known to have in the world, 0 for none yet.

    `holder` and `holder_uid` name the workload it is mounted for. `restoring` is the snapshot whose content it shall
    have. `lost`: the storage does not have it any more. `filling` is the last mark its file system passed, in percent.
    `drift`: what becomes of another hand's changes; `foreign`: the last of them that stands. `word_at`: when the
    operator's last word came that is `desired_seq`. `staged`: until it is made, the content that it is made from.
    """

    name: str
    uid: int
    size_bytes: int
    created_at: int
    desired_seq: int
    made_bytes: int = 0
    deleting: bool = False
    lost: bool = False
    holder: str = ""
    holder_uid: int = 0
    restoring: int = 0
    snapshots: tuple[Snapshot, ...] = ()
    filling: int = 0
    hold: Deadline | None = None
    trouble: Trouble | None = None
    drift: DriftPolicy = "repair"
    foreign: Foreign | None = None
    word_at: int = 0
    staged: str = ""


class Network(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Bridge and rules: the entry at which what is wanted last changed, and the one up to which it was made so.
    `subnet` is the bridge's; empty: the one that it has when nothing else is asked for. `foreign`: another hand changed
    them since."""

    changed_seq: int = 0
    ensured_seq: int = 0
    subnet: str = ""
    foreign: Foreign | None = None


class Image(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An image name and what it means since it was last pushed, pulled or found. `pulled`: its registry said so."""

    pin: ImagePin
    size_bytes: int
    seq: int
    pushed_at: int
    pulled: bool = False


class CachedDigest(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An image that is in the cache, by the digest of its index (or manifest), whatever its names."""

    index_digest: str
    platform_digest: str
    size_bytes: int
    seq: int


class Registry(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How a registry is to be reached. `secret` and `ca` are names in the sealed store."""

    host: str
    seq: int
    at: int
    username: str = ""
    secret: str = ""
    ca: str = ""
    plain_http: bool = False


class Secret(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One incarnation of a secret. `sealed` is the name of its value in the sealed store; `text`: the value can be an
    environment variable. `version` counts the values it had, `rotated_at` is when it got the present one."""

    name: str
    uid: int
    version: int
    sealed: str
    created_at: int
    rotated_at: int
    size_bytes: int = 0
    text: bool = False


class CallRecord(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An accepted call that carried an id: enough to answer it again. `lived_ns` is the machine's age at the call."""

    seq: int
    lived_ns: int
    args_hash: str


class OpenStream(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A streaming call that has begun and not ended."""

    method: str
    object: str
    opened_at: int
    boot: str


class Operator(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A key that may drive the machine. `public_key` is hex; `added_by` the key id of whoever added it."""

    kid: str
    public_key: str
    name: str
    role: Role
    added_by: str
    added_at: int
    seq: int


class Boot(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The daemon's present life."""

    boot: str
    release: str
    slot: str
    mode: str
    started_at: int
    seq: int
    stopped: bool = False


class Slots(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Which slot booted, and which one the boot loader boots when nothing else is said; `release`, with its commit, is
    of the one that booted. Empty where the machine has none, as hosted."""

    active: str = ""
    default: str = ""
    tentative: bool = False
    release: str = ""


class Update(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One update of the system, by the entry that began it. See `update.begun` for what it has from there.

    `boot` is the boot of the new system, `deadline` the moment until which it must be confirmed; `failing` what the
    health gate last said, `judged` whether it said anything, and `well_since_mono` since when nothing fails, 0 while
    something does. `cause`, `message` and `confidence`: why it was rolled back. `with_data`: its volumes are to be as
    they were before it. `from_slot` is empty where that is another machine's. `seq`: its last entry.
    """

    uid: int
    slot: str
    version: str
    commit: str
    built: int
    from_slot: str
    from_version: str
    from_commit: str
    phase: UpdatePhase
    begun_at: int
    seq: int
    kind: UpdateKind = "push"
    signed_by: str = ""
    size_bytes: int = 0
    from_level: tuple[tuple[str, int], ...] = ()
    window_s: int = 900
    confirm_when: Literal["operator", "healthy"] = "operator"
    soak_s: int = 60
    downgrade: bool = False
    retried: int = 0
    boot_sha256: str = ""
    root_sha256: str = ""
    boot_bytes: int = 0
    root_bytes: int = 0
    uplink: bool = False
    running: tuple[str, ...] = ()
    boot: str = ""
    deadline: Deadline | None = None
    failing: tuple[tuple[str, str], ...] = ()
    judged: bool = False
    well_since_mono: int = 0
    cause: Cause | None = None
    message: str = ""
    confidence: Confidence | None = None
    ended_at: int = 0
    keeps: tuple[str, ...] = ()
    snapshot: str = ""
    data_of: int = 0
    with_data: bool = False


class UpdateKey(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A key that signs bundles. `public_key` is hex."""

    kid: str
    public_key: str
    name: str
    added_at: int
    seq: int


CallKey = tuple[str, str, str]
"""(actor id, method, client's call id)"""


DriftKey = tuple[str, str]
"""(object, aspect)"""


class Machine(msgspec.Struct):
    """The fold of the journal up to and including `seq`.

    `lived_ns` is how long the machine has been up, over all its boots, by the monotonic clock: what expires, expires by
    it, for the wall clock may jump. `mono_boot` and `mono_ns` are the last entry's reading. `claimable_since` is when
    this boot began, as far as the daemon saw it: the claim window is counted from it. `leaving` are
    names and digests that are to leave the image cache, and the seq of the request. `missing` are digests that another
    hand took out of it although a workload needs them; `drifts` is what was told of drift and not taken back: object
    and aspect, and the entry that says so.
    """

    seq: int = 0
    at: int = 0
    lived_ns: int = 0
    mono_boot: str = ""
    mono_ns: int = 0
    workloads: dict[str, Workload] = {}
    volumes: dict[str, Volume] = {}
    images: dict[str, Image] = {}
    cached: dict[str, CachedDigest] = {}
    leaving: dict[str, int] = {}
    registries: dict[str, Registry] = {}
    secrets: dict[str, Secret] = {}
    calls: dict[CallKey, CallRecord] = {}
    streams: dict[int, OpenStream] = {}
    boot: Boot | None = None
    boots: int = 0
    excised: int = 0
    checkpoint: int = 0
    desired_seq: int = 0
    network: Network = Network()
    pool_filling: int = 0
    operators: dict[str, Operator] = {}
    claimable_since: Deadline | None = None
    missing: dict[str, Foreign] = {}
    drifts: dict[DriftKey, int] = {}
    slots: Slots = Slots()
    updates: dict[int, Update] = {}
    update_keys: dict[str, UpdateKey] = {}

    def age_ns(self, boot: str, mono_ns: int) -> int:
        """`lived_ns` at a later reading of the monotonic clock; a new boot has lived since its own beginning."""
        return self.lived_ns + (mono_ns - self.mono_ns if boot == self.mono_boot else mono_ns)

    def fork(self) -> "Machine":
        """A copy that may be folded further without this one noticing; records are shared, they are frozen."""
        return Machine(
            seq=self.seq,
            at=self.at,
            lived_ns=self.lived_ns,
            mono_boot=self.mono_boot,
            mono_ns=self.mono_ns,
            workloads=dict(self.workloads),
            volumes=dict(self.volumes),
            images=dict(self.images),
            cached=dict(self.cached),
            leaving=dict(self.leaving),
            registries=dict(self.registries),
            secrets=dict(self.secrets),
            calls=dict(self.calls),
            streams=dict(self.streams),
            boot=self.boot,
            boots=self.boots,
            excised=self.excised,
            checkpoint=self.checkpoint,
            desired_seq=self.desired_seq,
            network=self.network,
            pool_filling=self.pool_filling,
            operators=dict(self.operators),
            claimable_since=self.claimable_since,
            missing=dict(self.missing),
            drifts=dict(self.drifts),
            slots=self.slots,
            updates=dict(self.updates),
            update_keys=dict(self.update_keys),
        )
