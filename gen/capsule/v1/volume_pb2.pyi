from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Volume(_message.Message):
    __slots__ = ("name", "size_bytes", "host_path", "mounted_by", "created_at_unix")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    HOST_PATH_FIELD_NUMBER: _ClassVar[int]
    MOUNTED_BY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_UNIX_FIELD_NUMBER: _ClassVar[int]
    name: str
    size_bytes: int
    host_path: str
    mounted_by: _containers.RepeatedScalarFieldContainer[str]
    created_at_unix: int
    def __init__(self, name: _Optional[str] = ..., size_bytes: _Optional[int] = ..., host_path: _Optional[str] = ..., mounted_by: _Optional[_Iterable[str]] = ..., created_at_unix: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("volumes",)
    VOLUMES_FIELD_NUMBER: _ClassVar[int]
    volumes: _containers.RepeatedCompositeFieldContainer[Volume]
    def __init__(self, volumes: _Optional[_Iterable[_Union[Volume, _Mapping]]] = ...) -> None: ...

class VolumeDeleteRequest(_message.Message):
    __slots__ = ("name", "force")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    force: bool
    def __init__(self, name: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class VolumeDeleteResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class VolumeResizeRequest(_message.Message):
    __slots__ = ("name", "new_size_mib")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NEW_SIZE_MIB_FIELD_NUMBER: _ClassVar[int]
    name: str
    new_size_mib: int
    def __init__(self, name: _Optional[str] = ..., new_size_mib: _Optional[int] = ...) -> None: ...
