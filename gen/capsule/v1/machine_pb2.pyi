from capsule.v1 import workload_pb2 as _workload_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ApplyAllRequest(_message.Message):
    __slots__ = ("workloads", "dry_run", "expect_seq", "pull", "volumes")
    WORKLOADS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    EXPECT_SEQ_FIELD_NUMBER: _ClassVar[int]
    PULL_FIELD_NUMBER: _ClassVar[int]
    VOLUMES_FIELD_NUMBER: _ClassVar[int]
    workloads: _containers.RepeatedCompositeFieldContainer[_workload_pb2.Workload]
    dry_run: bool
    expect_seq: int
    pull: bool
    volumes: _containers.RepeatedCompositeFieldContainer[DeclaredVolume]
    def __init__(self, workloads: _Optional[_Iterable[_Union[_workload_pb2.Workload, _Mapping]]] = ..., dry_run: _Optional[bool] = ..., expect_seq: _Optional[int] = ..., pull: _Optional[bool] = ..., volumes: _Optional[_Iterable[_Union[DeclaredVolume, _Mapping]]] = ...) -> None: ...

class DeclaredVolume(_message.Message):
    __slots__ = ("name", "size_bytes", "drift")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DRIFT_FIELD_NUMBER: _ClassVar[int]
    name: str
    size_bytes: int
    drift: _workload_pb2.DriftPolicy
    def __init__(self, name: _Optional[str] = ..., size_bytes: _Optional[int] = ..., drift: _Optional[_Union[_workload_pb2.DriftPolicy, str]] = ...) -> None: ...

class AppliedVolume(_message.Message):
    __slots__ = ("name", "outcome")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    name: str
    outcome: str
    def __init__(self, name: _Optional[str] = ..., outcome: _Optional[str] = ...) -> None: ...

class ApplyAllResponse(_message.Message):
    __slots__ = ("items", "seq", "plan", "volumes")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    VOLUMES_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[AppliedItem]
    seq: int
    plan: _containers.RepeatedCompositeFieldContainer[_workload_pb2.PlannedEffect]
    volumes: _containers.RepeatedCompositeFieldContainer[AppliedVolume]
    def __init__(self, items: _Optional[_Iterable[_Union[AppliedItem, _Mapping]]] = ..., seq: _Optional[int] = ..., plan: _Optional[_Iterable[_Union[_workload_pb2.PlannedEffect, _Mapping]]] = ..., volumes: _Optional[_Iterable[_Union[AppliedVolume, _Mapping]]] = ...) -> None: ...

class AppliedItem(_message.Message):
    __slots__ = ("workload", "outcome")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    workload: _workload_pb2.Workload
    outcome: str
    def __init__(self, workload: _Optional[_Union[_workload_pb2.Workload, _Mapping]] = ..., outcome: _Optional[str] = ...) -> None: ...

class DiffRequest(_message.Message):
    __slots__ = ("workloads", "pull", "volumes")
    WORKLOADS_FIELD_NUMBER: _ClassVar[int]
    PULL_FIELD_NUMBER: _ClassVar[int]
    VOLUMES_FIELD_NUMBER: _ClassVar[int]
    workloads: _containers.RepeatedCompositeFieldContainer[_workload_pb2.Workload]
    pull: bool
    volumes: _containers.RepeatedCompositeFieldContainer[DeclaredVolume]
    def __init__(self, workloads: _Optional[_Iterable[_Union[_workload_pb2.Workload, _Mapping]]] = ..., pull: _Optional[bool] = ..., volumes: _Optional[_Iterable[_Union[DeclaredVolume, _Mapping]]] = ...) -> None: ...

class DiffResponse(_message.Message):
    __slots__ = ("changes", "notes")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[FieldChange]
    notes: _containers.RepeatedCompositeFieldContainer[DiffNote]
    def __init__(self, changes: _Optional[_Iterable[_Union[FieldChange, _Mapping]]] = ..., notes: _Optional[_Iterable[_Union[DiffNote, _Mapping]]] = ...) -> None: ...

class DiffNote(_message.Message):
    __slots__ = ("name", "message")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    name: str
    message: str
    def __init__(self, name: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class FieldChange(_message.Message):
    __slots__ = ("name", "op", "path", "old", "new")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OP_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    OLD_FIELD_NUMBER: _ClassVar[int]
    NEW_FIELD_NUMBER: _ClassVar[int]
    name: str
    op: str
    path: str
    old: str
    new: str
    def __init__(self, name: _Optional[str] = ..., op: _Optional[str] = ..., path: _Optional[str] = ..., old: _Optional[str] = ..., new: _Optional[str] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class WatchItem(_message.Message):
    __slots__ = ("workload", "removed", "synced", "seq", "lived_ms")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    SYNCED_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    LIVED_MS_FIELD_NUMBER: _ClassVar[int]
    workload: _workload_pb2.Workload
    removed: bool
    synced: bool
    seq: int
    lived_ms: int
    def __init__(self, workload: _Optional[_Union[_workload_pb2.Workload, _Mapping]] = ..., removed: _Optional[bool] = ..., synced: _Optional[bool] = ..., seq: _Optional[int] = ..., lived_ms: _Optional[int] = ...) -> None: ...
