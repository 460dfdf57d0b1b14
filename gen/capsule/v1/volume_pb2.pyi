from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Volume(_message.Message):
    __slots__ = ("name", "size_bytes", "host_path", "mounted_by", "created_at_unix", "uid", "phase", "message", "holder", "allocated_bytes", "fs_total_bytes", "fs_used_bytes", "snapshots", "desired_seq", "drift")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    HOST_PATH_FIELD_NUMBER: _ClassVar[int]
    MOUNTED_BY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_UNIX_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    ALLOCATED_BYTES_FIELD_NUMBER: _ClassVar[int]
    FS_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    FS_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    DESIRED_SEQ_FIELD_NUMBER: _ClassVar[int]
    DRIFT_FIELD_NUMBER: _ClassVar[int]
    name: str
    size_bytes: int
    host_path: str
    mounted_by: _containers.RepeatedScalarFieldContainer[str]
    created_at_unix: int
    uid: int
    phase: str
    message: str
    holder: str
    allocated_bytes: int
    fs_total_bytes: int
    fs_used_bytes: int
    snapshots: int
    desired_seq: int
    drift: str
    def __init__(self, name: _Optional[str] = ..., size_bytes: _Optional[int] = ..., host_path: _Optional[str] = ..., mounted_by: _Optional[_Iterable[str]] = ..., created_at_unix: _Optional[int] = ..., uid: _Optional[int] = ..., phase: _Optional[str] = ..., message: _Optional[str] = ..., holder: _Optional[str] = ..., allocated_bytes: _Optional[int] = ..., fs_total_bytes: _Optional[int] = ..., fs_used_bytes: _Optional[int] = ..., snapshots: _Optional[int] = ..., desired_seq: _Optional[int] = ..., drift: _Optional[str] = ...) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ("volume", "name", "uid", "size_bytes", "allocated_bytes", "method", "safety", "taken", "requested_at_unix")
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ALLOCATED_BYTES_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    SAFETY_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_AT_UNIX_FIELD_NUMBER: _ClassVar[int]
    volume: str
    name: str
    uid: int
    size_bytes: int
    allocated_bytes: int
    method: str
    safety: bool
    taken: bool
    requested_at_unix: int
    def __init__(self, volume: _Optional[str] = ..., name: _Optional[str] = ..., uid: _Optional[int] = ..., size_bytes: _Optional[int] = ..., allocated_bytes: _Optional[int] = ..., method: _Optional[str] = ..., safety: _Optional[bool] = ..., taken: _Optional[bool] = ..., requested_at_unix: _Optional[int] = ...) -> None: ...

class SnapshotTakeRequest(_message.Message):
    __slots__ = ("volume", "name")
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    volume: str
    name: str
    def __init__(self, volume: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class SnapshotListRequest(_message.Message):
    __slots__ = ("volume",)
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    volume: str
    def __init__(self, volume: _Optional[str] = ...) -> None: ...

class SnapshotListResponse(_message.Message):
    __slots__ = ("snapshots",)
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    snapshots: _containers.RepeatedCompositeFieldContainer[Snapshot]
    def __init__(self, snapshots: _Optional[_Iterable[_Union[Snapshot, _Mapping]]] = ...) -> None: ...

class SnapshotRestoreRequest(_message.Message):
    __slots__ = ("volume", "name")
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    volume: str
    name: str
    def __init__(self, volume: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class SnapshotRestoreResponse(_message.Message):
    __slots__ = ("safety", "restarted")
    SAFETY_FIELD_NUMBER: _ClassVar[int]
    RESTARTED_FIELD_NUMBER: _ClassVar[int]
    safety: str
    restarted: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, safety: _Optional[str] = ..., restarted: _Optional[_Iterable[str]] = ...) -> None: ...

class SnapshotDeleteRequest(_message.Message):
    __slots__ = ("volume", "name")
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    volume: str
    name: str
    def __init__(self, volume: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class SnapshotDeleteResponse(_message.Message):
    __slots__ = ("absent",)
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    absent: bool
    def __init__(self, absent: _Optional[bool] = ...) -> None: ...

class VolumeCreateRequest(_message.Message):
    __slots__ = ("name", "size_mib")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_MIB_FIELD_NUMBER: _ClassVar[int]
    name: str
    size_mib: int
    def __init__(self, name: _Optional[str] = ..., size_mib: _Optional[int] = ...) -> None: ...

class VolumeGetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class VolumeListRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class VolumeListResponse(_message.Message):
    __slots__ = ("volumes", "pool_total_bytes", "pool_used_bytes")
    VOLUMES_FIELD_NUMBER: _ClassVar[int]
    POOL_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    POOL_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    volumes: _containers.RepeatedCompositeFieldContainer[Volume]
    pool_total_bytes: int
    pool_used_bytes: int
    def __init__(self, volumes: _Optional[_Iterable[_Union[Volume, _Mapping]]] = ..., pool_total_bytes: _Optional[int] = ..., pool_used_bytes: _Optional[int] = ...) -> None: ...

class VolumeDeleteRequest(_message.Message):
    __slots__ = ("name", "force")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    force: bool
    def __init__(self, name: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class VolumeDeleteResponse(_message.Message):
    __slots__ = ("detached_from", "absent")
    DETACHED_FROM_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    detached_from: _containers.RepeatedScalarFieldContainer[str]
    absent: bool
    def __init__(self, detached_from: _Optional[_Iterable[str]] = ..., absent: _Optional[bool] = ...) -> None: ...

class VolumeResizeRequest(_message.Message):
    __slots__ = ("name", "new_size_mib")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NEW_SIZE_MIB_FIELD_NUMBER: _ClassVar[int]
    name: str
    new_size_mib: int
    def __init__(self, name: _Optional[str] = ..., new_size_mib: _Optional[int] = ...) -> None: ...

class VolumeExportRequest(_message.Message):
    __slots__ = ("name", "snapshot")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    name: str
    snapshot: str
    def __init__(self, name: _Optional[str] = ..., snapshot: _Optional[str] = ...) -> None: ...

class VolumeExportChunk(_message.Message):
    __slots__ = ("data", "done_bytes", "total_bytes")
    DATA_FIELD_NUMBER: _ClassVar[int]
    DONE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    done_bytes: int
    total_bytes: int
    def __init__(self, data: _Optional[bytes] = ..., done_bytes: _Optional[int] = ..., total_bytes: _Optional[int] = ...) -> None: ...

class VolumeImportMetadata(_message.Message):
    __slots__ = ("name", "total_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    total_bytes: int
    def __init__(self, name: _Optional[str] = ..., total_bytes: _Optional[int] = ...) -> None: ...

class VolumeImportRequest(_message.Message):
    __slots__ = ("metadata", "chunk")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    metadata: VolumeImportMetadata
    chunk: bytes
    def __init__(self, metadata: _Optional[_Union[VolumeImportMetadata, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...
