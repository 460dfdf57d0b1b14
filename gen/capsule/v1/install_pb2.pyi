from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InstallStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class InstallStatusResponse(_message.Message):
    __slots__ = ("short_id", "capsule_id", "target_disk", "target_size_bytes", "targets", "version", "disks", "least_bytes", "boot_disk", "tls_fingerprint_sha256")
    SHORT_ID_FIELD_NUMBER: _ClassVar[int]
    CAPSULE_ID_FIELD_NUMBER: _ClassVar[int]
    TARGET_DISK_FIELD_NUMBER: _ClassVar[int]
    TARGET_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DISKS_FIELD_NUMBER: _ClassVar[int]
    LEAST_BYTES_FIELD_NUMBER: _ClassVar[int]
    BOOT_DISK_FIELD_NUMBER: _ClassVar[int]
    TLS_FINGERPRINT_SHA256_FIELD_NUMBER: _ClassVar[int]
    short_id: str
    capsule_id: str
    target_disk: str
    target_size_bytes: int
    targets: _containers.RepeatedScalarFieldContainer[str]
    version: str
    disks: _containers.RepeatedCompositeFieldContainer[InstallDisk]
    least_bytes: int
    boot_disk: str
    tls_fingerprint_sha256: str
    def __init__(self, short_id: _Optional[str] = ..., capsule_id: _Optional[str] = ..., target_disk: _Optional[str] = ..., target_size_bytes: _Optional[int] = ..., targets: _Optional[_Iterable[str]] = ..., version: _Optional[str] = ..., disks: _Optional[_Iterable[_Union[InstallDisk, _Mapping]]] = ..., least_bytes: _Optional[int] = ..., boot_disk: _Optional[str] = ..., tls_fingerprint_sha256: _Optional[str] = ...) -> None: ...

class InstallDisk(_message.Message):
    __slots__ = ("name", "size_bytes", "model", "holds", "is_capsule", "problem")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    IS_CAPSULE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    name: str
    size_bytes: int
    model: str
    holds: str
    is_capsule: bool
    problem: str
    def __init__(self, name: _Optional[str] = ..., size_bytes: _Optional[int] = ..., model: _Optional[str] = ..., holds: _Optional[str] = ..., is_capsule: _Optional[bool] = ..., problem: _Optional[str] = ...) -> None: ...

class InstallRequest(_message.Message):
    __slots__ = ("target_disk", "operator_pubkey", "operator_name", "seal", "reinstall", "stay")
    TARGET_DISK_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_PUBKEY_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_NAME_FIELD_NUMBER: _ClassVar[int]
    SEAL_FIELD_NUMBER: _ClassVar[int]
    REINSTALL_FIELD_NUMBER: _ClassVar[int]
    STAY_FIELD_NUMBER: _ClassVar[int]
    target_disk: str
    operator_pubkey: bytes
    operator_name: str
    seal: bool
    reinstall: bool
    stay: bool
    def __init__(self, target_disk: _Optional[str] = ..., operator_pubkey: _Optional[bytes] = ..., operator_name: _Optional[str] = ..., seal: _Optional[bool] = ..., reinstall: _Optional[bool] = ..., stay: _Optional[bool] = ...) -> None: ...

class InstallProgress(_message.Message):
    __slots__ = ("phase", "percent", "message", "result")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    phase: str
    percent: int
    message: str
    result: InstallResult
    def __init__(self, phase: _Optional[str] = ..., percent: _Optional[int] = ..., message: _Optional[str] = ..., result: _Optional[_Union[InstallResult, _Mapping]] = ...) -> None: ...

class InstallResult(_message.Message):
    __slots__ = ("capsule_id", "tls_fingerprint_sha256", "kid", "short_id")
    CAPSULE_ID_FIELD_NUMBER: _ClassVar[int]
    TLS_FINGERPRINT_SHA256_FIELD_NUMBER: _ClassVar[int]
    KID_FIELD_NUMBER: _ClassVar[int]
    SHORT_ID_FIELD_NUMBER: _ClassVar[int]
    capsule_id: str
    tls_fingerprint_sha256: str
    kid: str
    short_id: str
    def __init__(self, capsule_id: _Optional[str] = ..., tls_fingerprint_sha256: _Optional[str] = ..., kid: _Optional[str] = ..., short_id: _Optional[str] = ...) -> None: ...
