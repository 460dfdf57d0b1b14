from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class UpdateStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UpdateStatus(_message.Message):
    __slots__ = ("active_slot", "default_slot", "version", "commit", "tentative", "seconds_left", "current", "failing", "judged", "healthy_seconds", "last", "other_version", "other_commit", "note")
    ACTIVE_SLOT_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_SLOT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    TENTATIVE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_LEFT_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    FAILING_FIELD_NUMBER: _ClassVar[int]
    JUDGED_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    OTHER_VERSION_FIELD_NUMBER: _ClassVar[int]
    OTHER_COMMIT_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    active_slot: str
    default_slot: str
    version: str
    commit: str
    tentative: bool
    seconds_left: int
    current: OSUpdate
    failing: _containers.RepeatedCompositeFieldContainer[UpdateCheck]
    judged: bool
    healthy_seconds: int
    last: OSUpdate
    other_version: str
    other_commit: str
    note: str
    def __init__(self, active_slot: _Optional[str] = ..., default_slot: _Optional[str] = ..., version: _Optional[str] = ..., commit: _Optional[str] = ..., tentative: _Optional[bool] = ..., seconds_left: _Optional[int] = ..., current: _Optional[_Union[OSUpdate, _Mapping]] = ..., failing: _Optional[_Iterable[_Union[UpdateCheck, _Mapping]]] = ..., judged: _Optional[bool] = ..., healthy_seconds: _Optional[int] = ..., last: _Optional[_Union[OSUpdate, _Mapping]] = ..., other_version: _Optional[str] = ..., other_commit: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class UpdateCheck(_message.Message):
    __slots__ = ("name", "message")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    name: str
    message: str
    def __init__(self, name: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class OSUpdate(_message.Message):
    __slots__ = ("uid", "phase", "kind", "slot", "version", "commit", "from_version", "from_commit", "begun_at_unix_ns", "ended_at_unix_ns", "size_bytes", "signed_by", "confirm_when", "window_seconds", "soak_seconds", "cause", "confidence", "message", "boot_id", "snapshots", "snapshot")
    UID_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    FROM_VERSION_FIELD_NUMBER: _ClassVar[int]
    FROM_COMMIT_FIELD_NUMBER: _ClassVar[int]
    BEGUN_AT_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SIGNED_BY_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_WHEN_FIELD_NUMBER: _ClassVar[int]
    WINDOW_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SOAK_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    uid: int
    phase: str
    kind: str
    slot: str
    version: str
    commit: str
    from_version: str
    from_commit: str
    begun_at_unix_ns: int
    ended_at_unix_ns: int
    size_bytes: int
    signed_by: str
    confirm_when: str
    window_seconds: int
    soak_seconds: int
    cause: str
    confidence: str
    message: str
    boot_id: str
    snapshots: _containers.RepeatedScalarFieldContainer[str]
    snapshot: str
    def __init__(self, uid: _Optional[int] = ..., phase: _Optional[str] = ..., kind: _Optional[str] = ..., slot: _Optional[str] = ..., version: _Optional[str] = ..., commit: _Optional[str] = ..., from_version: _Optional[str] = ..., from_commit: _Optional[str] = ..., begun_at_unix_ns: _Optional[int] = ..., ended_at_unix_ns: _Optional[int] = ..., size_bytes: _Optional[int] = ..., signed_by: _Optional[str] = ..., confirm_when: _Optional[str] = ..., window_seconds: _Optional[int] = ..., soak_seconds: _Optional[int] = ..., cause: _Optional[str] = ..., confidence: _Optional[str] = ..., message: _Optional[str] = ..., boot_id: _Optional[str] = ..., snapshots: _Optional[_Iterable[str]] = ..., snapshot: _Optional[str] = ...) -> None: ...

class UpdateRollbackRequest(_message.Message):
    __slots__ = ("allow_freeze", "with_data", "dry_run")
    ALLOW_FREEZE_FIELD_NUMBER: _ClassVar[int]
    WITH_DATA_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    allow_freeze: bool
    with_data: bool
    dry_run: bool
    def __init__(self, allow_freeze: _Optional[bool] = ..., with_data: _Optional[bool] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class UpdateRollbackResponse(_message.Message):
    __slots__ = ("message", "update", "unread")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    UNREAD_FIELD_NUMBER: _ClassVar[int]
    message: str
    update: OSUpdate
    unread: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, message: _Optional[str] = ..., update: _Optional[_Union[OSUpdate, _Mapping]] = ..., unread: _Optional[_Iterable[str]] = ...) -> None: ...

class UpdateListRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UpdateListResponse(_message.Message):
    __slots__ = ("updates",)
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    updates: _containers.RepeatedCompositeFieldContainer[OSUpdate]
    def __init__(self, updates: _Optional[_Iterable[_Union[OSUpdate, _Mapping]]] = ...) -> None: ...

class UpdateKey(_message.Message):
    __slots__ = ("kid", "name", "added_at_unix_ns")
    KID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDED_AT_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    kid: str
    name: str
    added_at_unix_ns: int
    def __init__(self, kid: _Optional[str] = ..., name: _Optional[str] = ..., added_at_unix_ns: _Optional[int] = ...) -> None: ...

class UpdateKeyAddRequest(_message.Message):
    __slots__ = ("public_key", "name")
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    public_key: bytes
    name: str
    def __init__(self, public_key: _Optional[bytes] = ..., name: _Optional[str] = ...) -> None: ...

class UpdateKeyListRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UpdateKeyListResponse(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[UpdateKey]
    def __init__(self, keys: _Optional[_Iterable[_Union[UpdateKey, _Mapping]]] = ...) -> None: ...

class UpdateKeyRemoveRequest(_message.Message):
    __slots__ = ("kid",)
    KID_FIELD_NUMBER: _ClassVar[int]
    kid: str
    def __init__(self, kid: _Optional[str] = ...) -> None: ...

class UpdateKeyRemoveResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
