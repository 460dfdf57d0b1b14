from capsule.v1 import image_pb2 as _image_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ImagePullRequest(_message.Message):
    __slots__ = ("ref",)
    REF_FIELD_NUMBER: _ClassVar[int]
    ref: str
    def __init__(self, ref: _Optional[str] = ...) -> None: ...

class ImagePullProgress(_message.Message):
    __slots__ = ("ref", "total_bytes", "done_bytes", "received_bytes", "layers", "unpacked", "image")
    REF_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    DONE_BYTES_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    UNPACKED_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    ref: str
    total_bytes: int
    done_bytes: int
    received_bytes: int
    layers: int
    unpacked: int
    image: _image_pb2.Image
    def __init__(self, ref: _Optional[str] = ..., total_bytes: _Optional[int] = ..., done_bytes: _Optional[int] = ..., received_bytes: _Optional[int] = ..., layers: _Optional[int] = ..., unpacked: _Optional[int] = ..., image: _Optional[_Union[_image_pb2.Image, _Mapping]] = ...) -> None: ...

class ImageHeldRequest(_message.Message):
    __slots__ = ("digests",)
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    digests: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, digests: _Optional[_Iterable[str]] = ...) -> None: ...

class ImageHeldResponse(_message.Message):
    __slots__ = ("held_bytes",)
    HELD_BYTES_FIELD_NUMBER: _ClassVar[int]
    held_bytes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, held_bytes: _Optional[_Iterable[int]] = ...) -> None: ...

class ImageRemoveRequest(_message.Message):
    __slots__ = ("ref", "dry_run")
    REF_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    ref: str
    dry_run: bool
    def __init__(self, ref: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class ImageCollectRequest(_message.Message):
    __slots__ = ("all", "dry_run")
    ALL_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    all: bool
    dry_run: bool
    def __init__(self, all: _Optional[bool] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class ImageRemoval(_message.Message):
    __slots__ = ("names", "digests", "freed_bytes", "seq")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    FREED_BYTES_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    digests: _containers.RepeatedScalarFieldContainer[str]
    freed_bytes: int
    seq: int
    def __init__(self, names: _Optional[_Iterable[str]] = ..., digests: _Optional[_Iterable[str]] = ..., freed_bytes: _Optional[int] = ..., seq: _Optional[int] = ...) -> None: ...
