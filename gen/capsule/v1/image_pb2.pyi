from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ImageListRequest(_message.Message):
    __slots__ = ("all", "details")
    ALL_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    all: bool
    details: bool
    def __init__(self, all: _Optional[bool] = ..., details: _Optional[bool] = ...) -> None: ...

class ImageListResponse(_message.Message):
    __slots__ = ("images",)
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    images: _containers.RepeatedCompositeFieldContainer[Image]
    def __init__(self, images: _Optional[_Iterable[_Union[Image, _Mapping]]] = ...) -> None: ...

class Image(_message.Message):
    __slots__ = ("name", "digest", "size_bytes", "created_unix", "index_digest", "used_by", "kept_for", "unpacked_bytes", "built_unix")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CREATED_UNIX_FIELD_NUMBER: _ClassVar[int]
    INDEX_DIGEST_FIELD_NUMBER: _ClassVar[int]
    USED_BY_FIELD_NUMBER: _ClassVar[int]
    KEPT_FOR_FIELD_NUMBER: _ClassVar[int]
    UNPACKED_BYTES_FIELD_NUMBER: _ClassVar[int]
    BUILT_UNIX_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    size_bytes: int
    created_unix: int
    index_digest: str
    used_by: _containers.RepeatedScalarFieldContainer[str]
    kept_for: _containers.RepeatedScalarFieldContainer[str]
    unpacked_bytes: int
    built_unix: int
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., size_bytes: _Optional[int] = ..., created_unix: _Optional[int] = ..., index_digest: _Optional[str] = ..., used_by: _Optional[_Iterable[str]] = ..., kept_for: _Optional[_Iterable[str]] = ..., unpacked_bytes: _Optional[int] = ..., built_unix: _Optional[int] = ...) -> None: ...

class ImagePushRequest(_message.Message):
    __slots__ = ("metadata", "chunk")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    metadata: ImagePushMetadata
    chunk: bytes
    def __init__(self, metadata: _Optional[_Union[ImagePushMetadata, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class ImagePushMetadata(_message.Message):
    __slots__ = ("total_bytes", "ref", "blobs")
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    REF_FIELD_NUMBER: _ClassVar[int]
    BLOBS_FIELD_NUMBER: _ClassVar[int]
    total_bytes: int
    ref: str
    blobs: _containers.RepeatedCompositeFieldContainer[AnnouncedBlob]
    def __init__(self, total_bytes: _Optional[int] = ..., ref: _Optional[str] = ..., blobs: _Optional[_Iterable[_Union[AnnouncedBlob, _Mapping]]] = ...) -> None: ...

class AnnouncedBlob(_message.Message):
    __slots__ = ("offset", "digest", "skipped")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    offset: int
    digest: str
    skipped: int
    def __init__(self, offset: _Optional[int] = ..., digest: _Optional[str] = ..., skipped: _Optional[int] = ...) -> None: ...

class ImagePushResponse(_message.Message):
    __slots__ = ("image_refs", "bytes_received")
    IMAGE_REFS_FIELD_NUMBER: _ClassVar[int]
    BYTES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    image_refs: _containers.RepeatedScalarFieldContainer[str]
    bytes_received: int
    def __init__(self, image_refs: _Optional[_Iterable[str]] = ..., bytes_received: _Optional[int] = ...) -> None: ...
