from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GrowDiskRequest(_message.Message):
    __slots__ = ("dry_run",)
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    dry_run: bool
    def __init__(self, dry_run: _Optional[bool] = ...) -> None: ...

class GrowDiskResponse(_message.Message):
    __slots__ = ("disk", "unused_bytes", "parts")
    DISK_FIELD_NUMBER: _ClassVar[int]
    UNUSED_BYTES_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    disk: str
    unused_bytes: int
    parts: _containers.RepeatedCompositeFieldContainer[GrownPart]
    def __init__(self, disk: _Optional[str] = ..., unused_bytes: _Optional[int] = ..., parts: _Optional[_Iterable[_Union[GrownPart, _Mapping]]] = ...) -> None: ...

class GrownPart(_message.Message):
    __slots__ = ("name", "before_bytes", "after_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BEFORE_BYTES_FIELD_NUMBER: _ClassVar[int]
    AFTER_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    before_bytes: int
    after_bytes: int
    def __init__(self, name: _Optional[str] = ..., before_bytes: _Optional[int] = ..., after_bytes: _Optional[int] = ...) -> None: ...
