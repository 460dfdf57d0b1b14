from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StatsSampleRequest(_message.Message):
    __slots__ = ("names", "window_ms", "layers")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    WINDOW_MS_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    window_ms: int
    layers: bool
    def __init__(self, names: _Optional[_Iterable[str]] = ..., window_ms: _Optional[int] = ..., layers: _Optional[bool] = ...) -> None: ...

class StatsWatchRequest(_message.Message):
    __slots__ = ("names", "interval_ms")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    interval_ms: int
    def __init__(self, names: _Optional[_Iterable[str]] = ..., interval_ms: _Optional[int] = ...) -> None: ...

class StatsSample(_message.Message):
    __slots__ = ("at_unix_ns", "machine", "workloads")
    AT_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    WORKLOADS_FIELD_NUMBER: _ClassVar[int]
    at_unix_ns: int
    machine: MachineUsage
    workloads: _containers.RepeatedCompositeFieldContainer[WorkloadUsage]
    def __init__(self, at_unix_ns: _Optional[int] = ..., machine: _Optional[_Union[MachineUsage, _Mapping]] = ..., workloads: _Optional[_Iterable[_Union[WorkloadUsage, _Mapping]]] = ...) -> None: ...

class MachineUsage(_message.Message):
    __slots__ = ("cpu_cores", "cpu_ns", "cpu_percent", "memory_total_bytes", "memory_available_bytes", "load_1")
    CPU_CORES_FIELD_NUMBER: _ClassVar[int]
    CPU_NS_FIELD_NUMBER: _ClassVar[int]
    CPU_PERCENT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_AVAILABLE_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOAD_1_FIELD_NUMBER: _ClassVar[int]
    cpu_cores: int
    cpu_ns: int
    cpu_percent: float
    memory_total_bytes: int
    memory_available_bytes: int
    load_1: float
    def __init__(self, cpu_cores: _Optional[int] = ..., cpu_ns: _Optional[int] = ..., cpu_percent: _Optional[float] = ..., memory_total_bytes: _Optional[int] = ..., memory_available_bytes: _Optional[int] = ..., load_1: _Optional[float] = ...) -> None: ...

class WorkloadUsage(_message.Message):
    __slots__ = ("name", "uid", "run", "measured", "cpu", "memory", "pids", "disk", "network", "layer_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    CPU_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    PIDS_FIELD_NUMBER: _ClassVar[int]
    DISK_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    LAYER_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    uid: int
    run: int
    measured: bool
    cpu: CpuUsage
    memory: MemoryUsage
    pids: PidsUsage
    disk: DiskUsage
    network: NetworkUsage
    layer_bytes: int
    def __init__(self, name: _Optional[str] = ..., uid: _Optional[int] = ..., run: _Optional[int] = ..., measured: _Optional[bool] = ..., cpu: _Optional[_Union[CpuUsage, _Mapping]] = ..., memory: _Optional[_Union[MemoryUsage, _Mapping]] = ..., pids: _Optional[_Union[PidsUsage, _Mapping]] = ..., disk: _Optional[_Union[DiskUsage, _Mapping]] = ..., network: _Optional[_Union[NetworkUsage, _Mapping]] = ..., layer_bytes: _Optional[int] = ...) -> None: ...

class CpuUsage(_message.Message):
    __slots__ = ("total_ns", "throttled_ns", "percent")
    TOTAL_NS_FIELD_NUMBER: _ClassVar[int]
    THROTTLED_NS_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    total_ns: int
    throttled_ns: int
    percent: float
    def __init__(self, total_ns: _Optional[int] = ..., throttled_ns: _Optional[int] = ..., percent: _Optional[float] = ...) -> None: ...

class MemoryUsage(_message.Message):
    __slots__ = ("working_set_bytes", "anonymous_bytes", "limit_bytes")
    WORKING_SET_BYTES_FIELD_NUMBER: _ClassVar[int]
    ANONYMOUS_BYTES_FIELD_NUMBER: _ClassVar[int]
    LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    working_set_bytes: int
    anonymous_bytes: int
    limit_bytes: int
    def __init__(self, working_set_bytes: _Optional[int] = ..., anonymous_bytes: _Optional[int] = ..., limit_bytes: _Optional[int] = ...) -> None: ...

class PidsUsage(_message.Message):
    __slots__ = ("current", "limit")
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    current: int
    limit: int
    def __init__(self, current: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class DiskUsage(_message.Message):
    __slots__ = ("read_bytes", "written_bytes", "reads", "writes", "read_bytes_per_second", "written_bytes_per_second")
    READ_BYTES_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_BYTES_FIELD_NUMBER: _ClassVar[int]
    READS_FIELD_NUMBER: _ClassVar[int]
    WRITES_FIELD_NUMBER: _ClassVar[int]
    READ_BYTES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_BYTES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    read_bytes: int
    written_bytes: int
    reads: int
    writes: int
    read_bytes_per_second: float
    written_bytes_per_second: float
    def __init__(self, read_bytes: _Optional[int] = ..., written_bytes: _Optional[int] = ..., reads: _Optional[int] = ..., writes: _Optional[int] = ..., read_bytes_per_second: _Optional[float] = ..., written_bytes_per_second: _Optional[float] = ...) -> None: ...

class NetworkUsage(_message.Message):
    __slots__ = ("received_bytes", "sent_bytes", "received_packets", "sent_packets", "received_dropped", "sent_dropped", "received_bytes_per_second", "sent_bytes_per_second")
    RECEIVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    SENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_PACKETS_FIELD_NUMBER: _ClassVar[int]
    SENT_PACKETS_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_DROPPED_FIELD_NUMBER: _ClassVar[int]
    SENT_DROPPED_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_BYTES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    SENT_BYTES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    received_bytes: int
    sent_bytes: int
    received_packets: int
    sent_packets: int
    received_dropped: int
    sent_dropped: int
    received_bytes_per_second: float
    sent_bytes_per_second: float
    def __init__(self, received_bytes: _Optional[int] = ..., sent_bytes: _Optional[int] = ..., received_packets: _Optional[int] = ..., sent_packets: _Optional[int] = ..., received_dropped: _Optional[int] = ..., sent_dropped: _Optional[int] = ..., received_bytes_per_second: _Optional[float] = ..., sent_bytes_per_second: _Optional[float] = ...) -> None: ...
