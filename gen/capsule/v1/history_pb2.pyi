from capsule.v1 import drift_pb2 as _drift_pb2
from capsule.v1 import identity_pb2 as _identity_pb2
from capsule.v1 import image_pb2 as _image_pb2
from capsule.v1 import machine_pb2 as _machine_pb2
from capsule.v1 import registry_pb2 as _registry_pb2
from capsule.v1 import secret_pb2 as _secret_pb2
from capsule.v1 import update_pb2 as _update_pb2
from capsule.v1 import volume_pb2 as _volume_pb2
from capsule.v1 import workload_pb2 as _workload_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HistoryEntry(_message.Message):
    __slots__ = ("seq", "at_unix_ns", "boot", "mono_ns", "release", "slot", "actor", "actor_name", "actor_role", "cause", "call", "type", "version", "effect_on_state", "summary", "body_json", "stream", "hash", "objects", "excised")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    AT_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    MONO_NS_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ACTOR_NAME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_ROLE_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EFFECT_ON_STATE_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    BODY_JSON_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    EXCISED_FIELD_NUMBER: _ClassVar[int]
    seq: int
    at_unix_ns: int
    boot: str
    mono_ns: int
    release: str
    slot: str
    actor: str
    actor_name: str
    actor_role: str
    cause: int
    call: int
    type: str
    version: int
    effect_on_state: str
    summary: str
    body_json: str
    stream: str
    hash: str
    objects: _containers.RepeatedScalarFieldContainer[str]
    excised: bool
    def __init__(self, seq: _Optional[int] = ..., at_unix_ns: _Optional[int] = ..., boot: _Optional[str] = ..., mono_ns: _Optional[int] = ..., release: _Optional[str] = ..., slot: _Optional[str] = ..., actor: _Optional[str] = ..., actor_name: _Optional[str] = ..., actor_role: _Optional[str] = ..., cause: _Optional[int] = ..., call: _Optional[int] = ..., type: _Optional[str] = ..., version: _Optional[int] = ..., effect_on_state: _Optional[str] = ..., summary: _Optional[str] = ..., body_json: _Optional[str] = ..., stream: _Optional[str] = ..., hash: _Optional[str] = ..., objects: _Optional[_Iterable[str]] = ..., excised: _Optional[bool] = ...) -> None: ...

class HistoryListRequest(_message.Message):
    __slots__ = ("name", "type", "actor", "since_unix_ns", "limit", "follow", "audit", "upto", "until_unix_ns", "failed", "boot", "types")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    AUDIT_FIELD_NUMBER: _ClassVar[int]
    UPTO_FIELD_NUMBER: _ClassVar[int]
    UNTIL_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    actor: str
    since_unix_ns: int
    limit: int
    follow: bool
    audit: bool
    upto: int
    until_unix_ns: int
    failed: bool
    boot: int
    types: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., actor: _Optional[str] = ..., since_unix_ns: _Optional[int] = ..., limit: _Optional[int] = ..., follow: _Optional[bool] = ..., audit: _Optional[bool] = ..., upto: _Optional[int] = ..., until_unix_ns: _Optional[int] = ..., failed: _Optional[bool] = ..., boot: _Optional[int] = ..., types: _Optional[_Iterable[str]] = ...) -> None: ...

class RevisionsRequest(_message.Message):
    __slots__ = ("name", "limit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    limit: int
    def __init__(self, name: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class WorkloadRevision(_message.Message):
    __slots__ = ("entry", "created", "removed", "changes")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    entry: HistoryEntry
    created: bool
    removed: bool
    changes: _containers.RepeatedCompositeFieldContainer[_machine_pb2.FieldChange]
    def __init__(self, entry: _Optional[_Union[HistoryEntry, _Mapping]] = ..., created: _Optional[bool] = ..., removed: _Optional[bool] = ..., changes: _Optional[_Iterable[_Union[_machine_pb2.FieldChange, _Mapping]]] = ...) -> None: ...

class HistoryShowRequest(_message.Message):
    __slots__ = ("seq",)
    SEQ_FIELD_NUMBER: _ClassVar[int]
    seq: int
    def __init__(self, seq: _Optional[int] = ...) -> None: ...

class HistoryShowResponse(_message.Message):
    __slots__ = ("entry", "tree")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    TREE_FIELD_NUMBER: _ClassVar[int]
    entry: HistoryEntry
    tree: _containers.RepeatedCompositeFieldContainer[HistoryNode]
    def __init__(self, entry: _Optional[_Union[HistoryEntry, _Mapping]] = ..., tree: _Optional[_Iterable[_Union[HistoryNode, _Mapping]]] = ...) -> None: ...

class HistoryNode(_message.Message):
    __slots__ = ("depth", "entry")
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    depth: int
    entry: HistoryEntry
    def __init__(self, depth: _Optional[int] = ..., entry: _Optional[_Union[HistoryEntry, _Mapping]] = ...) -> None: ...

class Moment(_message.Message):
    __slots__ = ("seq", "at_unix_ns", "boot")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    AT_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    seq: int
    at_unix_ns: int
    boot: int
    def __init__(self, seq: _Optional[int] = ..., at_unix_ns: _Optional[int] = ..., boot: _Optional[int] = ...) -> None: ...

class AsOfRequest(_message.Message):
    __slots__ = ("at", "only")
    AT_FIELD_NUMBER: _ClassVar[int]
    ONLY_FIELD_NUMBER: _ClassVar[int]
    at: Moment
    only: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, at: _Optional[_Union[Moment, _Mapping]] = ..., only: _Optional[_Iterable[str]] = ...) -> None: ...

class AsOfResponse(_message.Message):
    __slots__ = ("seq", "at_unix_ns", "workloads", "volumes", "snapshots", "keys", "images", "desired_seq", "secrets", "registries", "update_keys", "update_status", "updates", "differences")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    AT_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    WORKLOADS_FIELD_NUMBER: _ClassVar[int]
    VOLUMES_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    DESIRED_SEQ_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    REGISTRIES_FIELD_NUMBER: _ClassVar[int]
    UPDATE_KEYS_FIELD_NUMBER: _ClassVar[int]
    UPDATE_STATUS_FIELD_NUMBER: _ClassVar[int]
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    seq: int
    at_unix_ns: int
    workloads: _containers.RepeatedCompositeFieldContainer[_workload_pb2.Workload]
    volumes: _containers.RepeatedCompositeFieldContainer[_volume_pb2.Volume]
    snapshots: _containers.RepeatedCompositeFieldContainer[_volume_pb2.Snapshot]
    keys: _containers.RepeatedCompositeFieldContainer[_identity_pb2.AuthorizedKey]
    images: _containers.RepeatedCompositeFieldContainer[_image_pb2.Image]
    desired_seq: int
    secrets: _containers.RepeatedCompositeFieldContainer[_secret_pb2.Secret]
    registries: _containers.RepeatedCompositeFieldContainer[_registry_pb2.Registry]
    update_keys: _containers.RepeatedCompositeFieldContainer[_update_pb2.UpdateKey]
    update_status: _update_pb2.UpdateStatus
    updates: _containers.RepeatedCompositeFieldContainer[_update_pb2.OSUpdate]
    differences: _containers.RepeatedCompositeFieldContainer[_drift_pb2.Difference]
    def __init__(self, seq: _Optional[int] = ..., at_unix_ns: _Optional[int] = ..., workloads: _Optional[_Iterable[_Union[_workload_pb2.Workload, _Mapping]]] = ..., volumes: _Optional[_Iterable[_Union[_volume_pb2.Volume, _Mapping]]] = ..., snapshots: _Optional[_Iterable[_Union[_volume_pb2.Snapshot, _Mapping]]] = ..., keys: _Optional[_Iterable[_Union[_identity_pb2.AuthorizedKey, _Mapping]]] = ..., images: _Optional[_Iterable[_Union[_image_pb2.Image, _Mapping]]] = ..., desired_seq: _Optional[int] = ..., secrets: _Optional[_Iterable[_Union[_secret_pb2.Secret, _Mapping]]] = ..., registries: _Optional[_Iterable[_Union[_registry_pb2.Registry, _Mapping]]] = ..., update_keys: _Optional[_Iterable[_Union[_update_pb2.UpdateKey, _Mapping]]] = ..., update_status: _Optional[_Union[_update_pb2.UpdateStatus, _Mapping]] = ..., updates: _Optional[_Iterable[_Union[_update_pb2.OSUpdate, _Mapping]]] = ..., differences: _Optional[_Iterable[_Union[_drift_pb2.Difference, _Mapping]]] = ...) -> None: ...

class CompareRequest(_message.Message):
    __slots__ = ("before", "after", "name")
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    before: Moment
    after: Moment
    name: str
    def __init__(self, before: _Optional[_Union[Moment, _Mapping]] = ..., after: _Optional[_Union[Moment, _Mapping]] = ..., name: _Optional[str] = ...) -> None: ...

class CompareResponse(_message.Message):
    __slots__ = ("before_seq", "after_seq", "changes")
    BEFORE_SEQ_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    before_seq: int
    after_seq: int
    changes: _containers.RepeatedCompositeFieldContainer[_machine_pb2.FieldChange]
    def __init__(self, before_seq: _Optional[int] = ..., after_seq: _Optional[int] = ..., changes: _Optional[_Iterable[_Union[_machine_pb2.FieldChange, _Mapping]]] = ...) -> None: ...

class WhyRequest(_message.Message):
    __slots__ = ("at", "name")
    AT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    at: Moment
    name: str
    def __init__(self, at: _Optional[_Union[Moment, _Mapping]] = ..., name: _Optional[str] = ...) -> None: ...

class WhyResponse(_message.Message):
    __slots__ = ("name", "kind", "detail", "conclusion", "chain", "advice", "retry_unix_ns", "others", "begins_seq")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    CONCLUSION_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    RETRY_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    OTHERS_FIELD_NUMBER: _ClassVar[int]
    BEGINS_SEQ_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    detail: str
    conclusion: str
    chain: _containers.RepeatedCompositeFieldContainer[WhyLink]
    advice: str
    retry_unix_ns: int
    others: _containers.RepeatedCompositeFieldContainer[WhyResponse]
    begins_seq: int
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., detail: _Optional[str] = ..., conclusion: _Optional[str] = ..., chain: _Optional[_Iterable[_Union[WhyLink, _Mapping]]] = ..., advice: _Optional[str] = ..., retry_unix_ns: _Optional[int] = ..., others: _Optional[_Iterable[_Union[WhyResponse, _Mapping]]] = ..., begins_seq: _Optional[int] = ...) -> None: ...

class WhyLink(_message.Message):
    __slots__ = ("seq", "at_unix_ns", "who", "text", "alike")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    AT_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ALIKE_FIELD_NUMBER: _ClassVar[int]
    seq: int
    at_unix_ns: int
    who: str
    text: str
    alike: int
    def __init__(self, seq: _Optional[int] = ..., at_unix_ns: _Optional[int] = ..., who: _Optional[str] = ..., text: _Optional[str] = ..., alike: _Optional[int] = ...) -> None: ...

class ReplayRequest(_message.Message):
    __slots__ = ("to",)
    TO_FIELD_NUMBER: _ClassVar[int]
    to: int
    def __init__(self, to: _Optional[int] = ...) -> None: ...

class ReplayResponse(_message.Message):
    __slots__ = ("seq", "view", "state_hash", "entries", "live_hash", "elapsed_us", "desired_hash", "kept_seq")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    STATE_HASH_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    LIVE_HASH_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_US_FIELD_NUMBER: _ClassVar[int]
    DESIRED_HASH_FIELD_NUMBER: _ClassVar[int]
    KEPT_SEQ_FIELD_NUMBER: _ClassVar[int]
    seq: int
    view: int
    state_hash: str
    entries: int
    live_hash: str
    elapsed_us: int
    desired_hash: str
    kept_seq: int
    def __init__(self, seq: _Optional[int] = ..., view: _Optional[int] = ..., state_hash: _Optional[str] = ..., entries: _Optional[int] = ..., live_hash: _Optional[str] = ..., elapsed_us: _Optional[int] = ..., desired_hash: _Optional[str] = ..., kept_seq: _Optional[int] = ...) -> None: ...

class VerifyRequest(_message.Message):
    __slots__ = ("head_hash", "head_seq")
    HEAD_HASH_FIELD_NUMBER: _ClassVar[int]
    HEAD_SEQ_FIELD_NUMBER: _ClassVar[int]
    head_hash: str
    head_seq: int
    def __init__(self, head_hash: _Optional[str] = ..., head_seq: _Optional[int] = ...) -> None: ...

class VerifyResponse(_message.Message):
    __slots__ = ("checked", "first_seq", "head_seq", "head_hash", "findings", "excised")
    CHECKED_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    HEAD_SEQ_FIELD_NUMBER: _ClassVar[int]
    HEAD_HASH_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    EXCISED_FIELD_NUMBER: _ClassVar[int]
    checked: int
    first_seq: int
    head_seq: int
    head_hash: str
    findings: _containers.RepeatedScalarFieldContainer[str]
    excised: int
    def __init__(self, checked: _Optional[int] = ..., first_seq: _Optional[int] = ..., head_seq: _Optional[int] = ..., head_hash: _Optional[str] = ..., findings: _Optional[_Iterable[str]] = ..., excised: _Optional[int] = ...) -> None: ...

class StatsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatsResponse(_message.Message):
    __slots__ = ("journal_id", "first_seq", "last_seq", "audit_entries", "used_bytes", "file_bytes", "map_bytes", "index_seq", "snapshots", "newest_snapshot_seq", "first_at_unix_ns", "last_at_unix_ns", "head_hash", "by_type", "desired_hash")
    class ByTypeEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    JOURNAL_ID_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    AUDIT_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAP_BYTES_FIELD_NUMBER: _ClassVar[int]
    INDEX_SEQ_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    NEWEST_SNAPSHOT_SEQ_FIELD_NUMBER: _ClassVar[int]
    FIRST_AT_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    LAST_AT_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    HEAD_HASH_FIELD_NUMBER: _ClassVar[int]
    BY_TYPE_FIELD_NUMBER: _ClassVar[int]
    DESIRED_HASH_FIELD_NUMBER: _ClassVar[int]
    journal_id: str
    first_seq: int
    last_seq: int
    audit_entries: int
    used_bytes: int
    file_bytes: int
    map_bytes: int
    index_seq: int
    snapshots: int
    newest_snapshot_seq: int
    first_at_unix_ns: int
    last_at_unix_ns: int
    head_hash: str
    by_type: _containers.ScalarMap[str, int]
    desired_hash: str
    def __init__(self, journal_id: _Optional[str] = ..., first_seq: _Optional[int] = ..., last_seq: _Optional[int] = ..., audit_entries: _Optional[int] = ..., used_bytes: _Optional[int] = ..., file_bytes: _Optional[int] = ..., map_bytes: _Optional[int] = ..., index_seq: _Optional[int] = ..., snapshots: _Optional[int] = ..., newest_snapshot_seq: _Optional[int] = ..., first_at_unix_ns: _Optional[int] = ..., last_at_unix_ns: _Optional[int] = ..., head_hash: _Optional[str] = ..., by_type: _Optional[_Mapping[str, int]] = ..., desired_hash: _Optional[str] = ...) -> None: ...

class ExportRequest(_message.Message):
    __slots__ = ("upto",)
    UPTO_FIELD_NUMBER: _ClassVar[int]
    upto: int
    def __init__(self, upto: _Optional[int] = ...) -> None: ...

class ExportChunk(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...
