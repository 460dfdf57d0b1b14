from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LogLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_LEVEL_UNSPECIFIED: _ClassVar[LogLevel]
    LOG_LEVEL_DEBUG: _ClassVar[LogLevel]
    LOG_LEVEL_INFO: _ClassVar[LogLevel]
    LOG_LEVEL_WARNING: _ClassVar[LogLevel]
    LOG_LEVEL_ERROR: _ClassVar[LogLevel]
LOG_LEVEL_UNSPECIFIED: LogLevel
LOG_LEVEL_DEBUG: LogLevel
LOG_LEVEL_INFO: LogLevel
LOG_LEVEL_WARNING: LogLevel
LOG_LEVEL_ERROR: LogLevel

class GetInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetInfoResponse(_message.Message):
    __slots__ = ("hostname", "short_id", "kernel_release", "kernel_version", "architecture", "uptime_seconds", "capsule_version", "active_slot", "pending_slot", "pending_deadline_unix", "last_version", "memory_total_bytes", "memory_available_bytes", "cpu_cores", "cpu_model", "boot_disk", "disk_total_bytes", "thinpool_total_bytes", "thinpool_used_bytes", "perm_total_bytes", "perm_used_bytes", "local_time_unix", "capsule_id", "mode", "condition", "condition_message", "journal_seq", "journal_head", "containerd_version", "warnings", "tls_fingerprint_sha256", "addresses", "claimable_seconds", "metrics", "objects", "storage_driver", "storage_total_bytes", "storage_used_bytes", "bridge", "subnet", "cgroup_version", "journal_size_bytes", "started_at_unix", "boot_id", "load_1", "absent", "microvm_backend", "microvm_accelerator", "microvm_lacks", "boot_stages", "boot_ready_ms")
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    SHORT_ID_FIELD_NUMBER: _ClassVar[int]
    KERNEL_RELEASE_FIELD_NUMBER: _ClassVar[int]
    KERNEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    UPTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CAPSULE_VERSION_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_SLOT_FIELD_NUMBER: _ClassVar[int]
    PENDING_SLOT_FIELD_NUMBER: _ClassVar[int]
    PENDING_DEADLINE_UNIX_FIELD_NUMBER: _ClassVar[int]
    LAST_VERSION_FIELD_NUMBER: _ClassVar[int]
    MEMORY_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_AVAILABLE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPU_CORES_FIELD_NUMBER: _ClassVar[int]
    CPU_MODEL_FIELD_NUMBER: _ClassVar[int]
    BOOT_DISK_FIELD_NUMBER: _ClassVar[int]
    DISK_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    THINPOOL_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    THINPOOL_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    PERM_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    PERM_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOCAL_TIME_UNIX_FIELD_NUMBER: _ClassVar[int]
    CAPSULE_ID_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    CONDITION_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_SEQ_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_HEAD_FIELD_NUMBER: _ClassVar[int]
    CONTAINERD_VERSION_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    TLS_FINGERPRINT_SHA256_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    CLAIMABLE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    STORAGE_DRIVER_FIELD_NUMBER: _ClassVar[int]
    STORAGE_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    STORAGE_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    BRIDGE_FIELD_NUMBER: _ClassVar[int]
    SUBNET_FIELD_NUMBER: _ClassVar[int]
    CGROUP_VERSION_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_UNIX_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    LOAD_1_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    MICROVM_BACKEND_FIELD_NUMBER: _ClassVar[int]
    MICROVM_ACCELERATOR_FIELD_NUMBER: _ClassVar[int]
    MICROVM_LACKS_FIELD_NUMBER: _ClassVar[int]
    BOOT_STAGES_FIELD_NUMBER: _ClassVar[int]
    BOOT_READY_MS_FIELD_NUMBER: _ClassVar[int]
    hostname: str
    short_id: str
    kernel_release: str
    kernel_version: str
    architecture: str
    uptime_seconds: int
    capsule_version: str
    active_slot: str
    pending_slot: str
    pending_deadline_unix: int
    last_version: str
    memory_total_bytes: int
    memory_available_bytes: int
    cpu_cores: int
    cpu_model: str
    boot_disk: str
    disk_total_bytes: int
    thinpool_total_bytes: int
    thinpool_used_bytes: int
    perm_total_bytes: int
    perm_used_bytes: int
    local_time_unix: int
    capsule_id: str
    mode: str
    condition: str
    condition_message: str
    journal_seq: int
    journal_head: str
    containerd_version: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    tls_fingerprint_sha256: str
    addresses: _containers.RepeatedScalarFieldContainer[str]
    claimable_seconds: int
    metrics: str
    objects: ObjectCounts
    storage_driver: str
    storage_total_bytes: int
    storage_used_bytes: int
    bridge: str
    subnet: str
    cgroup_version: int
    journal_size_bytes: int
    started_at_unix: int
    boot_id: str
    load_1: float
    absent: _containers.RepeatedScalarFieldContainer[str]
    microvm_backend: str
    microvm_accelerator: str
    microvm_lacks: str
    boot_stages: _containers.RepeatedCompositeFieldContainer[BootStage]
    boot_ready_ms: int
    def __init__(self, hostname: _Optional[str] = ..., short_id: _Optional[str] = ..., kernel_release: _Optional[str] = ..., kernel_version: _Optional[str] = ..., architecture: _Optional[str] = ..., uptime_seconds: _Optional[int] = ..., capsule_version: _Optional[str] = ..., active_slot: _Optional[str] = ..., pending_slot: _Optional[str] = ..., pending_deadline_unix: _Optional[int] = ..., last_version: _Optional[str] = ..., memory_total_bytes: _Optional[int] = ..., memory_available_bytes: _Optional[int] = ..., cpu_cores: _Optional[int] = ..., cpu_model: _Optional[str] = ..., boot_disk: _Optional[str] = ..., disk_total_bytes: _Optional[int] = ..., thinpool_total_bytes: _Optional[int] = ..., thinpool_used_bytes: _Optional[int] = ..., perm_total_bytes: _Optional[int] = ..., perm_used_bytes: _Optional[int] = ..., local_time_unix: _Optional[int] = ..., capsule_id: _Optional[str] = ..., mode: _Optional[str] = ..., condition: _Optional[str] = ..., condition_message: _Optional[str] = ..., journal_seq: _Optional[int] = ..., journal_head: _Optional[str] = ..., containerd_version: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ..., tls_fingerprint_sha256: _Optional[str] = ..., addresses: _Optional[_Iterable[str]] = ..., claimable_seconds: _Optional[int] = ..., metrics: _Optional[str] = ..., objects: _Optional[_Union[ObjectCounts, _Mapping]] = ..., storage_driver: _Optional[str] = ..., storage_total_bytes: _Optional[int] = ..., storage_used_bytes: _Optional[int] = ..., bridge: _Optional[str] = ..., subnet: _Optional[str] = ..., cgroup_version: _Optional[int] = ..., journal_size_bytes: _Optional[int] = ..., started_at_unix: _Optional[int] = ..., boot_id: _Optional[str] = ..., load_1: _Optional[float] = ..., absent: _Optional[_Iterable[str]] = ..., microvm_backend: _Optional[str] = ..., microvm_accelerator: _Optional[str] = ..., microvm_lacks: _Optional[str] = ..., boot_stages: _Optional[_Iterable[_Union[BootStage, _Mapping]]] = ..., boot_ready_ms: _Optional[int] = ...) -> None: ...

class BootStage(_message.Message):
    __slots__ = ("name", "began_ms", "took_ms", "problem")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BEGAN_MS_FIELD_NUMBER: _ClassVar[int]
    TOOK_MS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    name: str
    began_ms: int
    took_ms: int
    problem: str
    def __init__(self, name: _Optional[str] = ..., began_ms: _Optional[int] = ..., took_ms: _Optional[int] = ..., problem: _Optional[str] = ...) -> None: ...

class ObjectCounts(_message.Message):
    __slots__ = ("workloads", "pending", "running", "failed", "stopped", "volumes", "images")
    WORKLOADS_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    VOLUMES_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    workloads: int
    pending: int
    running: int
    failed: int
    stopped: int
    volumes: int
    images: int
    def __init__(self, workloads: _Optional[int] = ..., pending: _Optional[int] = ..., running: _Optional[int] = ..., failed: _Optional[int] = ..., stopped: _Optional[int] = ..., volumes: _Optional[int] = ..., images: _Optional[int] = ...) -> None: ...

class CapsuleLogsRequest(_message.Message):
    __slots__ = ("follow", "tail_lines", "level", "since_unix_ns", "until_unix_ns", "records", "boots_back")
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    TAIL_LINES_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    UNTIL_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    BOOTS_BACK_FIELD_NUMBER: _ClassVar[int]
    follow: bool
    tail_lines: int
    level: LogLevel
    since_unix_ns: int
    until_unix_ns: int
    records: bool
    boots_back: int
    def __init__(self, follow: _Optional[bool] = ..., tail_lines: _Optional[int] = ..., level: _Optional[_Union[LogLevel, str]] = ..., since_unix_ns: _Optional[int] = ..., until_unix_ns: _Optional[int] = ..., records: _Optional[bool] = ..., boots_back: _Optional[int] = ...) -> None: ...

class CapsuleLogChunk(_message.Message):
    __slots__ = ("data", "at_unix_ns", "level", "source", "message")
    DATA_FIELD_NUMBER: _ClassVar[int]
    AT_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    at_unix_ns: int
    level: LogLevel
    source: str
    message: str
    def __init__(self, data: _Optional[bytes] = ..., at_unix_ns: _Optional[int] = ..., level: _Optional[_Union[LogLevel, str]] = ..., source: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class UpdateOSRequest(_message.Message):
    __slots__ = ("metadata", "chunk")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    metadata: UpdateOSMetadata
    chunk: bytes
    def __init__(self, metadata: _Optional[_Union[UpdateOSMetadata, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class UpdateOSMetadata(_message.Message):
    __slots__ = ("total_bytes", "sha256_hex", "window_seconds", "confirm_when_healthy", "soak_seconds", "allow_downgrade", "retry", "stay", "snapshots")
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_HEX_FIELD_NUMBER: _ClassVar[int]
    WINDOW_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_WHEN_HEALTHY_FIELD_NUMBER: _ClassVar[int]
    SOAK_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ALLOW_DOWNGRADE_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    STAY_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    total_bytes: int
    sha256_hex: str
    window_seconds: int
    confirm_when_healthy: bool
    soak_seconds: int
    allow_downgrade: bool
    retry: bool
    stay: bool
    snapshots: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, total_bytes: _Optional[int] = ..., sha256_hex: _Optional[str] = ..., window_seconds: _Optional[int] = ..., confirm_when_healthy: _Optional[bool] = ..., soak_seconds: _Optional[int] = ..., allow_downgrade: _Optional[bool] = ..., retry: _Optional[bool] = ..., stay: _Optional[bool] = ..., snapshots: _Optional[_Iterable[str]] = ...) -> None: ...

class UpdateOSResponse(_message.Message):
    __slots__ = ("next_slot", "next_version", "reboot_scheduled", "uid", "next_commit", "note")
    NEXT_SLOT_FIELD_NUMBER: _ClassVar[int]
    NEXT_VERSION_FIELD_NUMBER: _ClassVar[int]
    REBOOT_SCHEDULED_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    NEXT_COMMIT_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    next_slot: str
    next_version: str
    reboot_scheduled: bool
    uid: int
    next_commit: str
    note: str
    def __init__(self, next_slot: _Optional[str] = ..., next_version: _Optional[str] = ..., reboot_scheduled: _Optional[bool] = ..., uid: _Optional[int] = ..., next_commit: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class UpdateConfirmRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UpdateConfirmResponse(_message.Message):
    __slots__ = ("committed_slot", "committed_version", "uid", "note")
    COMMITTED_SLOT_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    committed_slot: str
    committed_version: str
    uid: int
    note: str
    def __init__(self, committed_slot: _Optional[str] = ..., committed_version: _Optional[str] = ..., uid: _Optional[int] = ..., note: _Optional[str] = ...) -> None: ...

class RebootNodeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RebootNodeResponse(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: str
    def __init__(self, message: _Optional[str] = ...) -> None: ...
