from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class DebugRequest(_message.Message):
    __slots__ = ("image", "keep")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    image: str
    keep: bool
    def __init__(self, image: _Optional[str] = ..., keep: _Optional[bool] = ...) -> None: ...

class DebugOpened(_message.Message):
    __slots__ = ("name", "uid", "image", "built_from")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    BUILT_FROM_FIELD_NUMBER: _ClassVar[int]
    name: str
    uid: int
    image: str
    built_from: str
    def __init__(self, name: _Optional[str] = ..., uid: _Optional[int] = ..., image: _Optional[str] = ..., built_from: _Optional[str] = ...) -> None: ...
