from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DriftRequest(_message.Message):
    __slots__ = ("names", "labels")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ..., labels: _Optional[_Iterable[str]] = ...) -> None: ...

class DriftListResponse(_message.Message):
    __slots__ = ("differences", "seq")
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    differences: _containers.RepeatedCompositeFieldContainer[Difference]
    seq: int
    def __init__(self, differences: _Optional[_Iterable[_Union[Difference, _Mapping]]] = ..., seq: _Optional[int] = ...) -> None: ...

class DriftWatchItem(_message.Message):
    __slots__ = ("difference", "resolved", "synced", "seq")
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    RESOLVED_FIELD_NUMBER: _ClassVar[int]
    SYNCED_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    difference: Difference
    resolved: bool
    synced: bool
    seq: int
    def __init__(self, difference: _Optional[_Union[Difference, _Mapping]] = ..., resolved: _Optional[bool] = ..., synced: _Optional[bool] = ..., seq: _Optional[int] = ...) -> None: ...

class Difference(_message.Message):
    __slots__ = ("object", "aspect", "label", "what", "since_unix_ns", "seq", "message", "then", "next_at_unix_ns", "repair")
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    ASPECT_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    THEN_FIELD_NUMBER: _ClassVar[int]
    NEXT_AT_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    REPAIR_FIELD_NUMBER: _ClassVar[int]
    object: str
    aspect: str
    label: str
    what: str
    since_unix_ns: int
    seq: int
    message: str
    then: str
    next_at_unix_ns: int
    repair: bool
    def __init__(self, object: _Optional[str] = ..., aspect: _Optional[str] = ..., label: _Optional[str] = ..., what: _Optional[str] = ..., since_unix_ns: _Optional[int] = ..., seq: _Optional[int] = ..., message: _Optional[str] = ..., then: _Optional[str] = ..., next_at_unix_ns: _Optional[int] = ..., repair: _Optional[bool] = ...) -> None: ...
