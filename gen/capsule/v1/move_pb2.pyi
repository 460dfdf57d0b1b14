from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MoveSecretsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SealedValues(_message.Message):
    __slots__ = ("naming_key", "values", "broken")
    NAMING_KEY_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    BROKEN_FIELD_NUMBER: _ClassVar[int]
    naming_key: bytes
    values: _containers.RepeatedScalarFieldContainer[str]
    broken: int
    def __init__(self, naming_key: _Optional[bytes] = ..., values: _Optional[_Iterable[str]] = ..., broken: _Optional[int] = ...) -> None: ...

class RestoreMetadata(_message.Message):
    __slots__ = ("total_bytes",)
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    total_bytes: int
    def __init__(self, total_bytes: _Optional[int] = ...) -> None: ...

class RestoreRequest(_message.Message):
    __slots__ = ("metadata", "sealed", "chunk")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    metadata: RestoreMetadata
    sealed: SealedValues
    chunk: bytes
    def __init__(self, metadata: _Optional[_Union[RestoreMetadata, _Mapping]] = ..., sealed: _Optional[_Union[SealedValues, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class RestoreResponse(_message.Message):
    __slots__ = ("journal_id", "head_seq", "head_hash", "desired_hash", "values")
    JOURNAL_ID_FIELD_NUMBER: _ClassVar[int]
    HEAD_SEQ_FIELD_NUMBER: _ClassVar[int]
    HEAD_HASH_FIELD_NUMBER: _ClassVar[int]
    DESIRED_HASH_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    journal_id: str
    head_seq: int
    head_hash: str
    desired_hash: str
    values: int
    def __init__(self, journal_id: _Optional[str] = ..., head_seq: _Optional[int] = ..., head_hash: _Optional[str] = ..., desired_hash: _Optional[str] = ..., values: _Optional[int] = ...) -> None: ...
