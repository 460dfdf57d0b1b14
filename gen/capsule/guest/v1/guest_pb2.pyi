from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PHASE_UNSPECIFIED: _ClassVar[Phase]
    PHASE_RUNNING: _ClassVar[Phase]
    PHASE_STOPPING: _ClassVar[Phase]
PHASE_UNSPECIFIED: Phase
PHASE_RUNNING: Phase
PHASE_STOPPING: Phase

class HelloRequest(_message.Message):
    __slots__ = ("version_min", "version_max", "release")
    VERSION_MIN_FIELD_NUMBER: _ClassVar[int]
    VERSION_MAX_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    version_min: int
    version_max: int
    release: str
    def __init__(self, version_min: _Optional[int] = ..., version_max: _Optional[int] = ..., release: _Optional[str] = ...) -> None: ...

class HelloResponse(_message.Message):
    __slots__ = ("version", "version_min", "version_max", "release", "name", "uid", "run")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSION_MIN_FIELD_NUMBER: _ClassVar[int]
    VERSION_MAX_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    version: int
    version_min: int
    version_max: int
    release: str
    name: str
    uid: int
    run: int
    def __init__(self, version: _Optional[int] = ..., version_min: _Optional[int] = ..., version_max: _Optional[int] = ..., release: _Optional[str] = ..., name: _Optional[str] = ..., uid: _Optional[int] = ..., run: _Optional[int] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ("clock_behind_ns",)
    CLOCK_BEHIND_NS_FIELD_NUMBER: _ClassVar[int]
    clock_behind_ns: int
    def __init__(self, clock_behind_ns: _Optional[int] = ...) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ("phase", "uptime_ns", "oom_kills", "executions", "time_ns")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    UPTIME_NS_FIELD_NUMBER: _ClassVar[int]
    OOM_KILLS_FIELD_NUMBER: _ClassVar[int]
    EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    phase: Phase
    uptime_ns: int
    oom_kills: int
    executions: int
    time_ns: int
    def __init__(self, phase: _Optional[_Union[Phase, str]] = ..., uptime_ns: _Optional[int] = ..., oom_kills: _Optional[int] = ..., executions: _Optional[int] = ..., time_ns: _Optional[int] = ...) -> None: ...

class Window(_message.Message):
    __slots__ = ("cols", "rows")
    COLS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    cols: int
    rows: int
    def __init__(self, cols: _Optional[int] = ..., rows: _Optional[int] = ...) -> None: ...

class Refused(_message.Message):
    __slots__ = ("reason", "message", "moved")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    moved: int
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., moved: _Optional[int] = ...) -> None: ...

class ExecStart(_message.Message):
    __slots__ = ("argv", "env", "user", "working_dir", "tty", "window", "stdin")
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ARGV_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIR_FIELD_NUMBER: _ClassVar[int]
    TTY_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    argv: _containers.RepeatedScalarFieldContainer[str]
    env: _containers.ScalarMap[str, str]
    user: str
    working_dir: str
    tty: bool
    window: Window
    stdin: bool
    def __init__(self, argv: _Optional[_Iterable[str]] = ..., env: _Optional[_Mapping[str, str]] = ..., user: _Optional[str] = ..., working_dir: _Optional[str] = ..., tty: _Optional[bool] = ..., window: _Optional[_Union[Window, _Mapping]] = ..., stdin: _Optional[bool] = ...) -> None: ...

class ExecClientMessage(_message.Message):
    __slots__ = ("start", "stdin", "end_of_input", "resize", "signal")
    START_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    END_OF_INPUT_FIELD_NUMBER: _ClassVar[int]
    RESIZE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    start: ExecStart
    stdin: bytes
    end_of_input: bool
    resize: Window
    signal: int
    def __init__(self, start: _Optional[_Union[ExecStart, _Mapping]] = ..., stdin: _Optional[bytes] = ..., end_of_input: _Optional[bool] = ..., resize: _Optional[_Union[Window, _Mapping]] = ..., signal: _Optional[int] = ...) -> None: ...

class ExecStarted(_message.Message):
    __slots__ = ("pid",)
    PID_FIELD_NUMBER: _ClassVar[int]
    pid: int
    def __init__(self, pid: _Optional[int] = ...) -> None: ...

class ExecServerMessage(_message.Message):
    __slots__ = ("started", "stdout", "stderr", "exit", "refused", "taken")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    EXIT_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    started: ExecStarted
    stdout: bytes
    stderr: bytes
    exit: int
    refused: Refused
    taken: int
    def __init__(self, started: _Optional[_Union[ExecStarted, _Mapping]] = ..., stdout: _Optional[bytes] = ..., stderr: _Optional[bytes] = ..., exit: _Optional[int] = ..., refused: _Optional[_Union[Refused, _Mapping]] = ..., taken: _Optional[int] = ...) -> None: ...

class CopyStart(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class CopyInClientMessage(_message.Message):
    __slots__ = ("start", "data", "commit")
    START_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    start: CopyStart
    data: bytes
    commit: bool
    def __init__(self, start: _Optional[_Union[CopyStart, _Mapping]] = ..., data: _Optional[bytes] = ..., commit: _Optional[bool] = ...) -> None: ...

class CopyReady(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CopyDone(_message.Message):
    __slots__ = ("entries", "left_out", "changed", "moved")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    entries: int
    left_out: int
    changed: int
    moved: int
    def __init__(self, entries: _Optional[int] = ..., left_out: _Optional[int] = ..., changed: _Optional[int] = ..., moved: _Optional[int] = ...) -> None: ...

class CopyServerMessage(_message.Message):
    __slots__ = ("ready", "data", "done", "refused")
    READY_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    ready: CopyReady
    data: bytes
    done: CopyDone
    refused: Refused
    def __init__(self, ready: _Optional[_Union[CopyReady, _Mapping]] = ..., data: _Optional[bytes] = ..., done: _Optional[_Union[CopyDone, _Mapping]] = ..., refused: _Optional[_Union[Refused, _Mapping]] = ...) -> None: ...

class StatsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatsResponse(_message.Message):
    __slots__ = ("cpu_ns", "memory_working_set_bytes", "memory_anonymous_bytes", "memory_limit_bytes", "pids", "pids_limit", "read_bytes", "written_bytes", "reads", "writes", "layer_bytes", "agent_memory_bytes", "volumes")
    CPU_NS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_WORKING_SET_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_ANONYMOUS_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    PIDS_FIELD_NUMBER: _ClassVar[int]
    PIDS_LIMIT_FIELD_NUMBER: _ClassVar[int]
    READ_BYTES_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_BYTES_FIELD_NUMBER: _ClassVar[int]
    READS_FIELD_NUMBER: _ClassVar[int]
    WRITES_FIELD_NUMBER: _ClassVar[int]
    LAYER_BYTES_FIELD_NUMBER: _ClassVar[int]
    AGENT_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    VOLUMES_FIELD_NUMBER: _ClassVar[int]
    cpu_ns: int
    memory_working_set_bytes: int
    memory_anonymous_bytes: int
    memory_limit_bytes: int
    pids: int
    pids_limit: int
    read_bytes: int
    written_bytes: int
    reads: int
    writes: int
    layer_bytes: int
    agent_memory_bytes: int
    volumes: _containers.RepeatedCompositeFieldContainer[VolumeFill]
    def __init__(self, cpu_ns: _Optional[int] = ..., memory_working_set_bytes: _Optional[int] = ..., memory_anonymous_bytes: _Optional[int] = ..., memory_limit_bytes: _Optional[int] = ..., pids: _Optional[int] = ..., pids_limit: _Optional[int] = ..., read_bytes: _Optional[int] = ..., written_bytes: _Optional[int] = ..., reads: _Optional[int] = ..., writes: _Optional[int] = ..., layer_bytes: _Optional[int] = ..., agent_memory_bytes: _Optional[int] = ..., volumes: _Optional[_Iterable[_Union[VolumeFill, _Mapping]]] = ...) -> None: ...

class VolumeFill(_message.Message):
    __slots__ = ("path", "total_bytes", "used_bytes")
    PATH_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    path: str
    total_bytes: int
    used_bytes: int
    def __init__(self, path: _Optional[str] = ..., total_bytes: _Optional[int] = ..., used_bytes: _Optional[int] = ...) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ("signal", "grace_ms")
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    GRACE_MS_FIELD_NUMBER: _ClassVar[int]
    signal: int
    grace_ms: int
    def __init__(self, signal: _Optional[int] = ..., grace_ms: _Optional[int] = ...) -> None: ...

class StopResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ShutdownRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ShutdownResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SecretFile(_message.Message):
    __slots__ = ("path", "mode", "uid", "gid", "content")
    PATH_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    GID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    path: str
    mode: int
    uid: int
    gid: int
    content: bytes
    def __init__(self, path: _Optional[str] = ..., mode: _Optional[int] = ..., uid: _Optional[int] = ..., gid: _Optional[int] = ..., content: _Optional[bytes] = ...) -> None: ...

class PlaceSecretsRequest(_message.Message):
    __slots__ = ("files",)
    FILES_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[SecretFile]
    def __init__(self, files: _Optional[_Iterable[_Union[SecretFile, _Mapping]]] = ...) -> None: ...

class PlaceSecretsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FreezeRequest(_message.Message):
    __slots__ = ("path", "timeout_ms")
    PATH_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    path: str
    timeout_ms: int
    def __init__(self, path: _Optional[str] = ..., timeout_ms: _Optional[int] = ...) -> None: ...

class FreezeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ThawRequest(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class ThawResponse(_message.Message):
    __slots__ = ("late",)
    LATE_FIELD_NUMBER: _ClassVar[int]
    late: bool
    def __init__(self, late: _Optional[bool] = ...) -> None: ...
