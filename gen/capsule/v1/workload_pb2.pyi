from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DesiredState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DESIRED_STATE_UNSPECIFIED: _ClassVar[DesiredState]
    DESIRED_STATE_RUNNING: _ClassVar[DesiredState]
    DESIRED_STATE_STOPPED: _ClassVar[DesiredState]
    DESIRED_STATE_DELETING: _ClassVar[DesiredState]

class WorkloadKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKLOAD_KIND_UNSPECIFIED: _ClassVar[WorkloadKind]
    WORKLOAD_KIND_CONTAINER: _ClassVar[WorkloadKind]
    WORKLOAD_KIND_MICRO_VM: _ClassVar[WorkloadKind]

class WorkloadPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKLOAD_PHASE_UNSPECIFIED: _ClassVar[WorkloadPhase]
    WORKLOAD_PHASE_PENDING: _ClassVar[WorkloadPhase]
    WORKLOAD_PHASE_RUNNING: _ClassVar[WorkloadPhase]
    WORKLOAD_PHASE_FAILED: _ClassVar[WorkloadPhase]
    WORKLOAD_PHASE_STOPPED: _ClassVar[WorkloadPhase]

class NetworkMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NETWORK_MODE_UNSPECIFIED: _ClassVar[NetworkMode]
    NETWORK_MODE_HOST: _ClassVar[NetworkMode]
    NETWORK_MODE_BRIDGE: _ClassVar[NetworkMode]
    NETWORK_MODE_NONE: _ClassVar[NetworkMode]

class MicroVMBackend(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MICRO_VM_BACKEND_UNSPECIFIED: _ClassVar[MicroVMBackend]
    MICRO_VM_BACKEND_FIRECRACKER: _ClassVar[MicroVMBackend]
    MICRO_VM_BACKEND_SMOLVM: _ClassVar[MicroVMBackend]
    MICRO_VM_BACKEND_QEMU: _ClassVar[MicroVMBackend]

class LogSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_SOURCE_UNSPECIFIED: _ClassVar[LogSource]
    LOG_SOURCE_PAYLOAD: _ClassVar[LogSource]
    LOG_SOURCE_SERIAL: _ClassVar[LogSource]

class LogStream(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_STREAM_UNSPECIFIED: _ClassVar[LogStream]
    LOG_STREAM_STDOUT: _ClassVar[LogStream]
    LOG_STREAM_STDERR: _ClassVar[LogStream]

class RestartMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESTART_MODE_UNSPECIFIED: _ClassVar[RestartMode]
    RESTART_MODE_ALWAYS: _ClassVar[RestartMode]
    RESTART_MODE_ON_FAILURE: _ClassVar[RestartMode]
    RESTART_MODE_NEVER: _ClassVar[RestartMode]

class DriftPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DRIFT_POLICY_UNSPECIFIED: _ClassVar[DriftPolicy]
    DRIFT_POLICY_REPAIR: _ClassVar[DriftPolicy]
    DRIFT_POLICY_REPORT: _ClassVar[DriftPolicy]

class SeccompProfile(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SECCOMP_PROFILE_UNSPECIFIED: _ClassVar[SeccompProfile]
    SECCOMP_PROFILE_DEFAULT: _ClassVar[SeccompProfile]
    SECCOMP_PROFILE_UNCONFINED: _ClassVar[SeccompProfile]
DESIRED_STATE_UNSPECIFIED: DesiredState
DESIRED_STATE_RUNNING: DesiredState
DESIRED_STATE_STOPPED: DesiredState
DESIRED_STATE_DELETING: DesiredState
WORKLOAD_KIND_UNSPECIFIED: WorkloadKind
WORKLOAD_KIND_CONTAINER: WorkloadKind
WORKLOAD_KIND_MICRO_VM: WorkloadKind
WORKLOAD_PHASE_UNSPECIFIED: WorkloadPhase
WORKLOAD_PHASE_PENDING: WorkloadPhase
WORKLOAD_PHASE_RUNNING: WorkloadPhase
WORKLOAD_PHASE_FAILED: WorkloadPhase
WORKLOAD_PHASE_STOPPED: WorkloadPhase
NETWORK_MODE_UNSPECIFIED: NetworkMode
NETWORK_MODE_HOST: NetworkMode
NETWORK_MODE_BRIDGE: NetworkMode
NETWORK_MODE_NONE: NetworkMode
MICRO_VM_BACKEND_UNSPECIFIED: MicroVMBackend
MICRO_VM_BACKEND_FIRECRACKER: MicroVMBackend
MICRO_VM_BACKEND_SMOLVM: MicroVMBackend
MICRO_VM_BACKEND_QEMU: MicroVMBackend
LOG_SOURCE_UNSPECIFIED: LogSource
LOG_SOURCE_PAYLOAD: LogSource
LOG_SOURCE_SERIAL: LogSource
LOG_STREAM_UNSPECIFIED: LogStream
LOG_STREAM_STDOUT: LogStream
LOG_STREAM_STDERR: LogStream
RESTART_MODE_UNSPECIFIED: RestartMode
RESTART_MODE_ALWAYS: RestartMode
RESTART_MODE_ON_FAILURE: RestartMode
RESTART_MODE_NEVER: RestartMode
DRIFT_POLICY_UNSPECIFIED: DriftPolicy
DRIFT_POLICY_REPAIR: DriftPolicy
DRIFT_POLICY_REPORT: DriftPolicy
SECCOMP_PROFILE_UNSPECIFIED: SeccompProfile
SECCOMP_PROFILE_DEFAULT: SeccompProfile
SECCOMP_PROFILE_UNCONFINED: SeccompProfile

class Workload(_message.Message):
    __slots__ = ("name", "kind", "container", "micro_vm", "status", "desired_state", "labels", "uid", "revision", "desired_seq", "image_digest", "depends_on", "drift")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    MICRO_VM_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DESIRED_STATE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    DESIRED_SEQ_FIELD_NUMBER: _ClassVar[int]
    IMAGE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_ON_FIELD_NUMBER: _ClassVar[int]
    DRIFT_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: WorkloadKind
    container: ContainerSpec
    micro_vm: MicroVMSpec
    status: WorkloadStatus
    desired_state: DesiredState
    labels: _containers.ScalarMap[str, str]
    uid: int
    revision: int
    desired_seq: int
    image_digest: str
    depends_on: _containers.RepeatedScalarFieldContainer[str]
    drift: DriftPolicy
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[WorkloadKind, str]] = ..., container: _Optional[_Union[ContainerSpec, _Mapping]] = ..., micro_vm: _Optional[_Union[MicroVMSpec, _Mapping]] = ..., status: _Optional[_Union[WorkloadStatus, _Mapping]] = ..., desired_state: _Optional[_Union[DesiredState, str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., uid: _Optional[int] = ..., revision: _Optional[int] = ..., desired_seq: _Optional[int] = ..., image_digest: _Optional[str] = ..., depends_on: _Optional[_Iterable[str]] = ..., drift: _Optional[_Union[DriftPolicy, str]] = ...) -> None: ...

class ContainerSpec(_message.Message):
    __slots__ = ("image", "command", "args", "env", "mounts", "network_mode", "ports", "privileged", "host_pid", "host_mount", "host_ipc", "host_bind_paths", "working_dir", "user", "stop_grace_seconds", "restart", "stop_signal", "restart_policy", "resources", "cap_add", "cap_drop", "read_only_root", "new_privileges", "seccomp", "tmpfs", "shm_bytes", "hostname", "extra_hosts", "ulimits", "host_binds", "health", "logs", "secret_env", "secrets")
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ExtraHostsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SecretEnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    MOUNTS_FIELD_NUMBER: _ClassVar[int]
    NETWORK_MODE_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    PRIVILEGED_FIELD_NUMBER: _ClassVar[int]
    HOST_PID_FIELD_NUMBER: _ClassVar[int]
    HOST_MOUNT_FIELD_NUMBER: _ClassVar[int]
    HOST_IPC_FIELD_NUMBER: _ClassVar[int]
    HOST_BIND_PATHS_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIR_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    STOP_GRACE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RESTART_FIELD_NUMBER: _ClassVar[int]
    STOP_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    RESTART_POLICY_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    CAP_ADD_FIELD_NUMBER: _ClassVar[int]
    CAP_DROP_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_ROOT_FIELD_NUMBER: _ClassVar[int]
    NEW_PRIVILEGES_FIELD_NUMBER: _ClassVar[int]
    SECCOMP_FIELD_NUMBER: _ClassVar[int]
    TMPFS_FIELD_NUMBER: _ClassVar[int]
    SHM_BYTES_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    EXTRA_HOSTS_FIELD_NUMBER: _ClassVar[int]
    ULIMITS_FIELD_NUMBER: _ClassVar[int]
    HOST_BINDS_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    LOGS_FIELD_NUMBER: _ClassVar[int]
    SECRET_ENV_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    image: str
    command: _containers.RepeatedScalarFieldContainer[str]
    args: _containers.RepeatedScalarFieldContainer[str]
    env: _containers.ScalarMap[str, str]
    mounts: _containers.RepeatedCompositeFieldContainer[VolumeMount]
    network_mode: NetworkMode
    ports: _containers.RepeatedCompositeFieldContainer[PortMapping]
    privileged: bool
    host_pid: bool
    host_mount: bool
    host_ipc: bool
    host_bind_paths: _containers.RepeatedScalarFieldContainer[str]
    working_dir: str
    user: str
    stop_grace_seconds: int
    restart: RestartMode
    stop_signal: str
    restart_policy: RestartPolicy
    resources: Resources
    cap_add: _containers.RepeatedScalarFieldContainer[str]
    cap_drop: _containers.RepeatedScalarFieldContainer[str]
    read_only_root: bool
    new_privileges: bool
    seccomp: SeccompProfile
    tmpfs: _containers.RepeatedCompositeFieldContainer[Tmpfs]
    shm_bytes: int
    hostname: str
    extra_hosts: _containers.ScalarMap[str, str]
    ulimits: _containers.RepeatedCompositeFieldContainer[Ulimit]
    host_binds: _containers.RepeatedCompositeFieldContainer[HostBind]
    health: HealthCheck
    logs: LogSpec
    secret_env: _containers.ScalarMap[str, str]
    secrets: _containers.RepeatedCompositeFieldContainer[SecretFile]
    def __init__(self, image: _Optional[str] = ..., command: _Optional[_Iterable[str]] = ..., args: _Optional[_Iterable[str]] = ..., env: _Optional[_Mapping[str, str]] = ..., mounts: _Optional[_Iterable[_Union[VolumeMount, _Mapping]]] = ..., network_mode: _Optional[_Union[NetworkMode, str]] = ..., ports: _Optional[_Iterable[_Union[PortMapping, _Mapping]]] = ..., privileged: _Optional[bool] = ..., host_pid: _Optional[bool] = ..., host_mount: _Optional[bool] = ..., host_ipc: _Optional[bool] = ..., host_bind_paths: _Optional[_Iterable[str]] = ..., working_dir: _Optional[str] = ..., user: _Optional[str] = ..., stop_grace_seconds: _Optional[int] = ..., restart: _Optional[_Union[RestartMode, str]] = ..., stop_signal: _Optional[str] = ..., restart_policy: _Optional[_Union[RestartPolicy, _Mapping]] = ..., resources: _Optional[_Union[Resources, _Mapping]] = ..., cap_add: _Optional[_Iterable[str]] = ..., cap_drop: _Optional[_Iterable[str]] = ..., read_only_root: _Optional[bool] = ..., new_privileges: _Optional[bool] = ..., seccomp: _Optional[_Union[SeccompProfile, str]] = ..., tmpfs: _Optional[_Iterable[_Union[Tmpfs, _Mapping]]] = ..., shm_bytes: _Optional[int] = ..., hostname: _Optional[str] = ..., extra_hosts: _Optional[_Mapping[str, str]] = ..., ulimits: _Optional[_Iterable[_Union[Ulimit, _Mapping]]] = ..., host_binds: _Optional[_Iterable[_Union[HostBind, _Mapping]]] = ..., health: _Optional[_Union[HealthCheck, _Mapping]] = ..., logs: _Optional[_Union[LogSpec, _Mapping]] = ..., secret_env: _Optional[_Mapping[str, str]] = ..., secrets: _Optional[_Iterable[_Union[SecretFile, _Mapping]]] = ...) -> None: ...

class SecretFile(_message.Message):
    __slots__ = ("secret", "path", "mode", "uid", "gid")
    SECRET_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    GID_FIELD_NUMBER: _ClassVar[int]
    secret: str
    path: str
    mode: str
    uid: int
    gid: int
    def __init__(self, secret: _Optional[str] = ..., path: _Optional[str] = ..., mode: _Optional[str] = ..., uid: _Optional[int] = ..., gid: _Optional[int] = ...) -> None: ...

class LogSpec(_message.Message):
    __slots__ = ("max_size_bytes",)
    MAX_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    max_size_bytes: int
    def __init__(self, max_size_bytes: _Optional[int] = ...) -> None: ...

class RestartPolicy(_message.Message):
    __slots__ = ("max_attempts", "backoff_first_ms", "backoff_cap_ms", "stable_ms")
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_FIRST_MS_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_CAP_MS_FIELD_NUMBER: _ClassVar[int]
    STABLE_MS_FIELD_NUMBER: _ClassVar[int]
    max_attempts: int
    backoff_first_ms: int
    backoff_cap_ms: int
    stable_ms: int
    def __init__(self, max_attempts: _Optional[int] = ..., backoff_first_ms: _Optional[int] = ..., backoff_cap_ms: _Optional[int] = ..., stable_ms: _Optional[int] = ...) -> None: ...

class Resources(_message.Message):
    __slots__ = ("cpus", "cpu_shares", "memory_bytes", "swap_bytes", "pids")
    CPUS_FIELD_NUMBER: _ClassVar[int]
    CPU_SHARES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    SWAP_BYTES_FIELD_NUMBER: _ClassVar[int]
    PIDS_FIELD_NUMBER: _ClassVar[int]
    cpus: float
    cpu_shares: int
    memory_bytes: int
    swap_bytes: int
    pids: int
    def __init__(self, cpus: _Optional[float] = ..., cpu_shares: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., swap_bytes: _Optional[int] = ..., pids: _Optional[int] = ...) -> None: ...

class Tmpfs(_message.Message):
    __slots__ = ("mount_path", "size_bytes")
    MOUNT_PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    mount_path: str
    size_bytes: int
    def __init__(self, mount_path: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class Ulimit(_message.Message):
    __slots__ = ("name", "soft", "hard")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SOFT_FIELD_NUMBER: _ClassVar[int]
    HARD_FIELD_NUMBER: _ClassVar[int]
    name: str
    soft: int
    hard: int
    def __init__(self, name: _Optional[str] = ..., soft: _Optional[int] = ..., hard: _Optional[int] = ...) -> None: ...

class HostBind(_message.Message):
    __slots__ = ("source", "mount_path", "read_only")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    MOUNT_PATH_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    source: str
    mount_path: str
    read_only: bool
    def __init__(self, source: _Optional[str] = ..., mount_path: _Optional[str] = ..., read_only: _Optional[bool] = ...) -> None: ...

class HealthCheck(_message.Message):
    __slots__ = ("exec", "http", "tcp", "interval_ms", "timeout_ms", "retries", "start_period_ms")
    EXEC_FIELD_NUMBER: _ClassVar[int]
    HTTP_FIELD_NUMBER: _ClassVar[int]
    TCP_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    START_PERIOD_MS_FIELD_NUMBER: _ClassVar[int]
    exec: _containers.RepeatedScalarFieldContainer[str]
    http: HealthHttp
    tcp: HealthTcp
    interval_ms: int
    timeout_ms: int
    retries: int
    start_period_ms: int
    def __init__(self, exec: _Optional[_Iterable[str]] = ..., http: _Optional[_Union[HealthHttp, _Mapping]] = ..., tcp: _Optional[_Union[HealthTcp, _Mapping]] = ..., interval_ms: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., retries: _Optional[int] = ..., start_period_ms: _Optional[int] = ...) -> None: ...

class HealthHttp(_message.Message):
    __slots__ = ("port", "path")
    PORT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    port: int
    path: str
    def __init__(self, port: _Optional[int] = ..., path: _Optional[str] = ...) -> None: ...

class HealthTcp(_message.Message):
    __slots__ = ("port",)
    PORT_FIELD_NUMBER: _ClassVar[int]
    port: int
    def __init__(self, port: _Optional[int] = ...) -> None: ...

class PortMapping(_message.Message):
    __slots__ = ("container_port", "host_port", "protocol", "host_address")
    CONTAINER_PORT_FIELD_NUMBER: _ClassVar[int]
    HOST_PORT_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    HOST_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    container_port: int
    host_port: int
    protocol: str
    host_address: str
    def __init__(self, container_port: _Optional[int] = ..., host_port: _Optional[int] = ..., protocol: _Optional[str] = ..., host_address: _Optional[str] = ...) -> None: ...

class MicroVMSpec(_message.Message):
    __slots__ = ("image", "command", "args", "env", "kernel_path", "rootfs_path", "vcpus", "memory_mib", "mounts", "kernel_cmdline_extra", "backend", "ports", "working_dir", "user", "stop_grace_seconds", "restart", "stop_signal", "restart_policy", "resources", "cap_add", "cap_drop", "read_only_root", "new_privileges", "tmpfs", "shm_bytes", "hostname", "extra_hosts", "ulimits", "health", "logs", "secret_env", "secrets")
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ExtraHostsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SecretEnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    KERNEL_PATH_FIELD_NUMBER: _ClassVar[int]
    ROOTFS_PATH_FIELD_NUMBER: _ClassVar[int]
    VCPUS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_MIB_FIELD_NUMBER: _ClassVar[int]
    MOUNTS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_CMDLINE_EXTRA_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIR_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    STOP_GRACE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RESTART_FIELD_NUMBER: _ClassVar[int]
    STOP_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    RESTART_POLICY_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    CAP_ADD_FIELD_NUMBER: _ClassVar[int]
    CAP_DROP_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_ROOT_FIELD_NUMBER: _ClassVar[int]
    NEW_PRIVILEGES_FIELD_NUMBER: _ClassVar[int]
    TMPFS_FIELD_NUMBER: _ClassVar[int]
    SHM_BYTES_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    EXTRA_HOSTS_FIELD_NUMBER: _ClassVar[int]
    ULIMITS_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    LOGS_FIELD_NUMBER: _ClassVar[int]
    SECRET_ENV_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    image: str
    command: _containers.RepeatedScalarFieldContainer[str]
    args: _containers.RepeatedScalarFieldContainer[str]
    env: _containers.ScalarMap[str, str]
    kernel_path: str
    rootfs_path: str
    vcpus: int
    memory_mib: int
    mounts: _containers.RepeatedCompositeFieldContainer[VolumeMount]
    kernel_cmdline_extra: str
    backend: MicroVMBackend
    ports: _containers.RepeatedCompositeFieldContainer[PortMapping]
    working_dir: str
    user: str
    stop_grace_seconds: int
    restart: RestartMode
    stop_signal: str
    restart_policy: RestartPolicy
    resources: Resources
    cap_add: _containers.RepeatedScalarFieldContainer[str]
    cap_drop: _containers.RepeatedScalarFieldContainer[str]
    read_only_root: bool
    new_privileges: bool
    tmpfs: _containers.RepeatedCompositeFieldContainer[Tmpfs]
    shm_bytes: int
    hostname: str
    extra_hosts: _containers.ScalarMap[str, str]
    ulimits: _containers.RepeatedCompositeFieldContainer[Ulimit]
    health: HealthCheck
    logs: LogSpec
    secret_env: _containers.ScalarMap[str, str]
    secrets: _containers.RepeatedCompositeFieldContainer[SecretFile]
    def __init__(self, image: _Optional[str] = ..., command: _Optional[_Iterable[str]] = ..., args: _Optional[_Iterable[str]] = ..., env: _Optional[_Mapping[str, str]] = ..., kernel_path: _Optional[str] = ..., rootfs_path: _Optional[str] = ..., vcpus: _Optional[int] = ..., memory_mib: _Optional[int] = ..., mounts: _Optional[_Iterable[_Union[VolumeMount, _Mapping]]] = ..., kernel_cmdline_extra: _Optional[str] = ..., backend: _Optional[_Union[MicroVMBackend, str]] = ..., ports: _Optional[_Iterable[_Union[PortMapping, _Mapping]]] = ..., working_dir: _Optional[str] = ..., user: _Optional[str] = ..., stop_grace_seconds: _Optional[int] = ..., restart: _Optional[_Union[RestartMode, str]] = ..., stop_signal: _Optional[str] = ..., restart_policy: _Optional[_Union[RestartPolicy, _Mapping]] = ..., resources: _Optional[_Union[Resources, _Mapping]] = ..., cap_add: _Optional[_Iterable[str]] = ..., cap_drop: _Optional[_Iterable[str]] = ..., read_only_root: _Optional[bool] = ..., new_privileges: _Optional[bool] = ..., tmpfs: _Optional[_Iterable[_Union[Tmpfs, _Mapping]]] = ..., shm_bytes: _Optional[int] = ..., hostname: _Optional[str] = ..., extra_hosts: _Optional[_Mapping[str, str]] = ..., ulimits: _Optional[_Iterable[_Union[Ulimit, _Mapping]]] = ..., health: _Optional[_Union[HealthCheck, _Mapping]] = ..., logs: _Optional[_Union[LogSpec, _Mapping]] = ..., secret_env: _Optional[_Mapping[str, str]] = ..., secrets: _Optional[_Iterable[_Union[SecretFile, _Mapping]]] = ...) -> None: ...

class VolumeMount(_message.Message):
    __slots__ = ("volume_name", "mount_path", "read_only")
    VOLUME_NAME_FIELD_NUMBER: _ClassVar[int]
    MOUNT_PATH_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    volume_name: str
    mount_path: str
    read_only: bool
    def __init__(self, volume_name: _Optional[str] = ..., mount_path: _Optional[str] = ..., read_only: _Optional[bool] = ...) -> None: ...

class WorkloadStatus(_message.Message):
    __slots__ = ("phase", "message", "restart_count", "exit_code", "pid", "started_at_unix_ns", "finished_at_unix_ns", "run", "phase_detail", "next_retry_unix_ns", "ends_in_a_row", "oom_killed", "oom_kills", "last_end", "last_end_unix_ns", "health", "health_message", "health_since_unix_ns", "address", "accelerator", "fault", "conditions")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RESTART_COUNT_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    PHASE_DETAIL_FIELD_NUMBER: _ClassVar[int]
    NEXT_RETRY_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    ENDS_IN_A_ROW_FIELD_NUMBER: _ClassVar[int]
    OOM_KILLED_FIELD_NUMBER: _ClassVar[int]
    OOM_KILLS_FIELD_NUMBER: _ClassVar[int]
    LAST_END_FIELD_NUMBER: _ClassVar[int]
    LAST_END_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    HEALTH_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HEALTH_SINCE_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ACCELERATOR_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    phase: WorkloadPhase
    message: str
    restart_count: int
    exit_code: int
    pid: int
    started_at_unix_ns: int
    finished_at_unix_ns: int
    run: int
    phase_detail: str
    next_retry_unix_ns: int
    ends_in_a_row: int
    oom_killed: bool
    oom_kills: int
    last_end: str
    last_end_unix_ns: int
    health: str
    health_message: str
    health_since_unix_ns: int
    address: str
    accelerator: str
    fault: str
    conditions: _containers.RepeatedCompositeFieldContainer[WorkloadCondition]
    def __init__(self, phase: _Optional[_Union[WorkloadPhase, str]] = ..., message: _Optional[str] = ..., restart_count: _Optional[int] = ..., exit_code: _Optional[int] = ..., pid: _Optional[int] = ..., started_at_unix_ns: _Optional[int] = ..., finished_at_unix_ns: _Optional[int] = ..., run: _Optional[int] = ..., phase_detail: _Optional[str] = ..., next_retry_unix_ns: _Optional[int] = ..., ends_in_a_row: _Optional[int] = ..., oom_killed: _Optional[bool] = ..., oom_kills: _Optional[int] = ..., last_end: _Optional[str] = ..., last_end_unix_ns: _Optional[int] = ..., health: _Optional[str] = ..., health_message: _Optional[str] = ..., health_since_unix_ns: _Optional[int] = ..., address: _Optional[str] = ..., accelerator: _Optional[str] = ..., fault: _Optional[str] = ..., conditions: _Optional[_Iterable[_Union[WorkloadCondition, _Mapping]]] = ...) -> None: ...

class WorkloadCondition(_message.Message):
    __slots__ = ("type", "met", "reason", "message")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MET_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    type: str
    met: bool
    reason: str
    message: str
    def __init__(self, type: _Optional[str] = ..., met: _Optional[bool] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class PlannedEffect(_message.Message):
    __slots__ = ("effect", "object", "detail")
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    effect: str
    object: str
    detail: str
    def __init__(self, effect: _Optional[str] = ..., object: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class WorkloadApplyRequest(_message.Message):
    __slots__ = ("workload", "dry_run", "expect_seq", "pull")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    EXPECT_SEQ_FIELD_NUMBER: _ClassVar[int]
    PULL_FIELD_NUMBER: _ClassVar[int]
    workload: Workload
    dry_run: bool
    expect_seq: int
    pull: bool
    def __init__(self, workload: _Optional[_Union[Workload, _Mapping]] = ..., dry_run: _Optional[bool] = ..., expect_seq: _Optional[int] = ..., pull: _Optional[bool] = ...) -> None: ...

class WorkloadApplyResponse(_message.Message):
    __slots__ = ("workload", "seq", "changed", "plan")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    workload: Workload
    seq: int
    changed: bool
    plan: _containers.RepeatedCompositeFieldContainer[PlannedEffect]
    def __init__(self, workload: _Optional[_Union[Workload, _Mapping]] = ..., seq: _Optional[int] = ..., changed: _Optional[bool] = ..., plan: _Optional[_Iterable[_Union[PlannedEffect, _Mapping]]] = ...) -> None: ...

class WorkloadGetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class WorkloadListRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WorkloadListResponse(_message.Message):
    __slots__ = ("workloads", "desired_seq", "seq")
    WORKLOADS_FIELD_NUMBER: _ClassVar[int]
    DESIRED_SEQ_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    workloads: _containers.RepeatedCompositeFieldContainer[Workload]
    desired_seq: int
    seq: int
    def __init__(self, workloads: _Optional[_Iterable[_Union[Workload, _Mapping]]] = ..., desired_seq: _Optional[int] = ..., seq: _Optional[int] = ...) -> None: ...

class WorkloadDeleteRequest(_message.Message):
    __slots__ = ("name", "expect_seq", "dry_run")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECT_SEQ_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    name: str
    expect_seq: int
    dry_run: bool
    def __init__(self, name: _Optional[str] = ..., expect_seq: _Optional[int] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class WorkloadDeleteResponse(_message.Message):
    __slots__ = ("plan", "seq", "absent")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    plan: _containers.RepeatedCompositeFieldContainer[PlannedEffect]
    seq: int
    absent: bool
    def __init__(self, plan: _Optional[_Iterable[_Union[PlannedEffect, _Mapping]]] = ..., seq: _Optional[int] = ..., absent: _Optional[bool] = ...) -> None: ...

class WorkloadLogsRequest(_message.Message):
    __slots__ = ("name", "follow", "tail_lines", "source", "stream", "since_unix_ns", "until_unix_ns", "timestamps", "run", "previous")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    TAIL_LINES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    UNTIL_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMPS_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    name: str
    follow: bool
    tail_lines: int
    source: LogSource
    stream: LogStream
    since_unix_ns: int
    until_unix_ns: int
    timestamps: bool
    run: int
    previous: bool
    def __init__(self, name: _Optional[str] = ..., follow: _Optional[bool] = ..., tail_lines: _Optional[int] = ..., source: _Optional[_Union[LogSource, str]] = ..., stream: _Optional[_Union[LogStream, str]] = ..., since_unix_ns: _Optional[int] = ..., until_unix_ns: _Optional[int] = ..., timestamps: _Optional[bool] = ..., run: _Optional[int] = ..., previous: _Optional[bool] = ...) -> None: ...

class WorkloadLogChunk(_message.Message):
    __slots__ = ("data", "stderr", "at_unix_ns", "late", "run", "dropped_bytes")
    DATA_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    AT_UNIX_NS_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    DROPPED_BYTES_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    stderr: bool
    at_unix_ns: int
    late: bool
    run: int
    dropped_bytes: int
    def __init__(self, data: _Optional[bytes] = ..., stderr: _Optional[bool] = ..., at_unix_ns: _Optional[int] = ..., late: _Optional[bool] = ..., run: _Optional[int] = ..., dropped_bytes: _Optional[int] = ...) -> None: ...

class WorkloadExecClientMessage(_message.Message):
    __slots__ = ("config", "stdin", "resize", "signal", "end_of_input")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    RESIZE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    END_OF_INPUT_FIELD_NUMBER: _ClassVar[int]
    config: WorkloadExecConfig
    stdin: bytes
    resize: WorkloadExecResize
    signal: int
    end_of_input: bool
    def __init__(self, config: _Optional[_Union[WorkloadExecConfig, _Mapping]] = ..., stdin: _Optional[bytes] = ..., resize: _Optional[_Union[WorkloadExecResize, _Mapping]] = ..., signal: _Optional[int] = ..., end_of_input: _Optional[bool] = ...) -> None: ...

class WorkloadExecConfig(_message.Message):
    __slots__ = ("name", "command", "tty", "env", "size", "user", "working_dir")
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    TTY_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIR_FIELD_NUMBER: _ClassVar[int]
    name: str
    command: _containers.RepeatedScalarFieldContainer[str]
    tty: bool
    env: _containers.ScalarMap[str, str]
    size: WorkloadExecResize
    user: str
    working_dir: str
    def __init__(self, name: _Optional[str] = ..., command: _Optional[_Iterable[str]] = ..., tty: _Optional[bool] = ..., env: _Optional[_Mapping[str, str]] = ..., size: _Optional[_Union[WorkloadExecResize, _Mapping]] = ..., user: _Optional[str] = ..., working_dir: _Optional[str] = ...) -> None: ...

class WorkloadExecResize(_message.Message):
    __slots__ = ("cols", "rows")
    COLS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    cols: int
    rows: int
    def __init__(self, cols: _Optional[int] = ..., rows: _Optional[int] = ...) -> None: ...

class WorkloadExecServerMessage(_message.Message):
    __slots__ = ("stdout", "stderr", "exit")
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    EXIT_FIELD_NUMBER: _ClassVar[int]
    stdout: bytes
    stderr: bytes
    exit: WorkloadExecExit
    def __init__(self, stdout: _Optional[bytes] = ..., stderr: _Optional[bytes] = ..., exit: _Optional[_Union[WorkloadExecExit, _Mapping]] = ...) -> None: ...

class WorkloadExecExit(_message.Message):
    __slots__ = ("exit_code",)
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    exit_code: int
    def __init__(self, exit_code: _Optional[int] = ...) -> None: ...

class WorkloadRestartRequest(_message.Message):
    __slots__ = ("name", "expect_seq", "dry_run")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECT_SEQ_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    name: str
    expect_seq: int
    dry_run: bool
    def __init__(self, name: _Optional[str] = ..., expect_seq: _Optional[int] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class WorkloadRestartResponse(_message.Message):
    __slots__ = ("plan", "seq")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    plan: _containers.RepeatedCompositeFieldContainer[PlannedEffect]
    seq: int
    def __init__(self, plan: _Optional[_Iterable[_Union[PlannedEffect, _Mapping]]] = ..., seq: _Optional[int] = ...) -> None: ...

class WorkloadStopRequest(_message.Message):
    __slots__ = ("name", "expect_seq", "dry_run")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECT_SEQ_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    name: str
    expect_seq: int
    dry_run: bool
    def __init__(self, name: _Optional[str] = ..., expect_seq: _Optional[int] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class WorkloadStopResponse(_message.Message):
    __slots__ = ("plan", "seq", "not_remembered")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    NOT_REMEMBERED_FIELD_NUMBER: _ClassVar[int]
    plan: _containers.RepeatedCompositeFieldContainer[PlannedEffect]
    seq: int
    not_remembered: bool
    def __init__(self, plan: _Optional[_Iterable[_Union[PlannedEffect, _Mapping]]] = ..., seq: _Optional[int] = ..., not_remembered: _Optional[bool] = ...) -> None: ...

class WorkloadStartRequest(_message.Message):
    __slots__ = ("name", "expect_seq", "dry_run")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECT_SEQ_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    name: str
    expect_seq: int
    dry_run: bool
    def __init__(self, name: _Optional[str] = ..., expect_seq: _Optional[int] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class WorkloadStartResponse(_message.Message):
    __slots__ = ("plan", "seq")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    plan: _containers.RepeatedCompositeFieldContainer[PlannedEffect]
    seq: int
    def __init__(self, plan: _Optional[_Iterable[_Union[PlannedEffect, _Mapping]]] = ..., seq: _Optional[int] = ...) -> None: ...

class WorkloadCopyToRequest(_message.Message):
    __slots__ = ("metadata", "chunk")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    metadata: WorkloadCopyToMetadata
    chunk: bytes
    def __init__(self, metadata: _Optional[_Union[WorkloadCopyToMetadata, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class WorkloadCopyToMetadata(_message.Message):
    __slots__ = ("name", "dest_path")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DEST_PATH_FIELD_NUMBER: _ClassVar[int]
    name: str
    dest_path: str
    def __init__(self, name: _Optional[str] = ..., dest_path: _Optional[str] = ...) -> None: ...

class WorkloadCopyToResponse(_message.Message):
    __slots__ = ("bytes_received",)
    BYTES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    bytes_received: int
    def __init__(self, bytes_received: _Optional[int] = ...) -> None: ...

class WorkloadCopyFromRequest(_message.Message):
    __slots__ = ("name", "src_path")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SRC_PATH_FIELD_NUMBER: _ClassVar[int]
    name: str
    src_path: str
    def __init__(self, name: _Optional[str] = ..., src_path: _Optional[str] = ...) -> None: ...

class WorkloadCopyFromChunk(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...
