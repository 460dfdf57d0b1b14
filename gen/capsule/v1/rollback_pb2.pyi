from capsule.v1 import history_pb2 as _history_pb2
from capsule.v1 import machine_pb2 as _machine_pb2
from capsule.v1 import workload_pb2 as _workload_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RollbackRequest(_message.Message):
    __slots__ = ("name", "moment", "previous", "healthy", "reason", "dry_run", "snapshot", "expect_seq")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MOMENT_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    EXPECT_SEQ_FIELD_NUMBER: _ClassVar[int]
    name: str
    moment: _history_pb2.Moment
    previous: bool
    healthy: bool
    reason: str
    dry_run: bool
    snapshot: str
    expect_seq: int
    def __init__(self, name: _Optional[str] = ..., moment: _Optional[_Union[_history_pb2.Moment, _Mapping]] = ..., previous: _Optional[bool] = ..., healthy: _Optional[bool] = ..., reason: _Optional[str] = ..., dry_run: _Optional[bool] = ..., snapshot: _Optional[str] = ..., expect_seq: _Optional[int] = ...) -> None: ...

class RollbackResponse(_message.Message):
    __slots__ = ("to_seq", "seq", "items", "changes", "plan", "snapshot", "desired_seq")
    TO_SEQ_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    DESIRED_SEQ_FIELD_NUMBER: _ClassVar[int]
    to_seq: int
    seq: int
    items: _containers.RepeatedCompositeFieldContainer[RollbackItem]
    changes: _containers.RepeatedCompositeFieldContainer[_machine_pb2.FieldChange]
    plan: _containers.RepeatedCompositeFieldContainer[_workload_pb2.PlannedEffect]
    snapshot: str
    desired_seq: int
    def __init__(self, to_seq: _Optional[int] = ..., seq: _Optional[int] = ..., items: _Optional[_Iterable[_Union[RollbackItem, _Mapping]]] = ..., changes: _Optional[_Iterable[_Union[_machine_pb2.FieldChange, _Mapping]]] = ..., plan: _Optional[_Iterable[_Union[_workload_pb2.PlannedEffect, _Mapping]]] = ..., snapshot: _Optional[str] = ..., desired_seq: _Optional[int] = ...) -> None: ...

class RollbackItem(_message.Message):
    __slots__ = ("name", "outcome", "reason", "restarts", "image_missing")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_MISSING_FIELD_NUMBER: _ClassVar[int]
    name: str
    outcome: str
    reason: str
    restarts: bool
    image_missing: bool
    def __init__(self, name: _Optional[str] = ..., outcome: _Optional[str] = ..., reason: _Optional[str] = ..., restarts: _Optional[bool] = ..., image_missing: _Optional[bool] = ...) -> None: ...
