from capsule.v1 import history_pb2 as _history_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TruncateRequest(_message.Message):
    __slots__ = ("upto", "head_hash", "exported_to", "dry_run")
    UPTO_FIELD_NUMBER: _ClassVar[int]
    HEAD_HASH_FIELD_NUMBER: _ClassVar[int]
    EXPORTED_TO_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    upto: _history_pb2.Moment
    head_hash: str
    exported_to: str
    dry_run: bool
    def __init__(self, upto: _Optional[_Union[_history_pb2.Moment, _Mapping]] = ..., head_hash: _Optional[str] = ..., exported_to: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class ExciseRequest(_message.Message):
    __slots__ = ("seqs", "reason", "dry_run")
    SEQS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    seqs: _containers.RepeatedScalarFieldContainer[int]
    reason: str
    dry_run: bool
    def __init__(self, seqs: _Optional[_Iterable[int]] = ..., reason: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class RetentionResponse(_message.Message):
    __slots__ = ("upto", "entries", "seq", "first_seq")
    UPTO_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    upto: int
    entries: int
    seq: int
    first_seq: int
    def __init__(self, upto: _Optional[int] = ..., entries: _Optional[int] = ..., seq: _Optional[int] = ..., first_seq: _Optional[int] = ...) -> None: ...
