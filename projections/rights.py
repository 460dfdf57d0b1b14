"""What a role may ask for beyond its methods: what is root on the machine by another name. Pure.

It is judged on what would be declared, not on the message that asked for it, so every way to declare a workload meets
the same rule; and on what a workload is, as declared and as it still runs, so that an exec into a privileged container
needs what declaring it needs.
"""

from collections.abc import Mapping

from journal.specs import ContainerSpec, Kind, Role
from projections.intents import Apply, Intent, Rollback
from projections.linux import CONTAINER_CAPABILITIES
from projections.manifest import written
from projections.refusals import SECTIONS, Refusal, refused
from projections.state import Machine
from projections.update_intents import BeginUpdate

RANK: Mapping[str, int] = {"reader": 1, "operator": 2, "admin": 3}

FIELDS: Mapping[str, Mapping[str, Role]] = {
    "ContainerSpec": {
        "image": "operator",
        "command": "operator",
        "args": "operator",
        "env": "operator",
        "working_dir": "operator",
        "user": "operator",
        "mounts": "operator",
        "network": "operator",  # but for the machine's own: see below
        "ports": "operator",
        "privileged": "admin",
        "host_pid": "admin",
        "host_mount": "admin",
        "host_ipc": "admin",
        "host_bind_paths": "admin",
        "stop_grace_ms": "operator",
        "restart": "operator",
        "log_max_bytes": "operator",
        "stop_signal": "operator",
        "resources": "operator",
        "cap_add": "operator",  # but for what containers do not have anyway: see below
        "cap_drop": "operator",
        "read_only_root": "operator",
        "new_privileges": "operator",
        "seccomp": "operator",  # but for having none: see below
        "tmpfs": "operator",
        "shm_bytes": "operator",
        "hostname": "operator",
        "extra_hosts": "operator",
        "ulimits": "operator",
        "host_binds": "admin",
        "secret_env": "operator",
        "secrets": "operator",
        "vm": "operator",
        "health": "operator",  # asked with the run's own rights, and of the run it was declared with
    },
    "MicroVM": {
        "vcpus": "operator",
        "memory_mib": "operator",
        "backend": "operator",
        # Whoever says what boots has the VMM read files of the machine for him.
        "kernel_path": "admin",
        "rootfs_path": "admin",
        "cmdline_extra": "operator",
    },
}
"""Every field of every kind of spec, and who may set it: a test says that none is missing."""


def may(role: str, needed: str) -> bool:
    """Whether a role includes another. An unknown role is none."""
    return RANK.get(role, 0) >= RANK[needed]


def root_fields(spec: ContainerSpec) -> tuple[str, ...]:
    """The fields by which the spec is root on the machine; empty for an ordinary one."""
    parts = (spec,) if spec.vm is None else (spec, spec.vm)
    found = [
        name
        for part in parts
        for name, role in FIELDS[type(part).__name__].items()
        if role == "admin" and getattr(part, name)
    ]
    # The host's network is a host namespace, too: whoever is in it reaches what the machine serves to itself.
    more = {
        "network": spec.network == "host",
        # Under a kernel of its own no capability is one of the machine's.
        "cap_add": spec.vm is None and not set(spec.cap_add) <= set(CONTAINER_CAPABILITIES),
        "seccomp": spec.seccomp != "default",
    }
    return (*found, *(name for name, is_root in more.items() if is_root))


def permit(role: str, intent: Intent) -> Refusal | None:
    """Why a caller of this role may not ask for `intent`, or None. Its method was permitted already."""
    if may(role, "admin"):
        return None
    if isinstance(intent, BeginUpdate) and not intent.keys_known:
        words = "which keys sign updates cannot be read while the journal cannot: only an admin may push now"
        return refused("PERMISSION_DENIED", "KEYS_UNKNOWN", words)
    if isinstance(intent, BeginUpdate) and not intent.signed_by:
        words = (
            "no enrolled key has signed this bundle, and whoever may install any system is root on the machine: ask an "
            "admin to push it, or to enrol the key that signs (`capsulectl update key add`)"
        )
        return refused("PERMISSION_DENIED", "UNSIGNED", words)
    if not isinstance(intent, Apply | Rollback):
        return None
    apply = intent.apply if isinstance(intent, Rollback) else intent
    for declared in apply.workloads:
        fields = root_fields(declared.spec)
        if fields:
            why = f"{declared.name} would be root on the machine by another name"
            return _denied(role, declared.spec.kind, why, fields)
    return None


def permit_inside(role: str, machine: Machine, name: str) -> Refusal | None:
    """Why a caller of this role may not reach inside a workload (exec, copies), or None."""
    workload = machine.workloads.get(name)
    if may(role, "admin") or workload is None:
        return None
    fields = root_fields(workload.spec)
    if fields:
        return _denied(role, workload.spec.kind, f"{name} is root on the machine by another name", fields)
    run = workload.run
    if run is None or run.spec is None or run.cleaned:
        return None
    fields = root_fields(run.spec)
    what = f"what still runs of {name} is from before it was changed, and is root on the machine by another name"
    return _denied(role, run.spec.kind, what, fields) if fields else None


def _denied(role: str, kind: Kind, what: str, fields: tuple[str, ...]) -> Refusal:
    """`what` begins with the workload's name: of many that are declared at once it says which."""
    names = [written(field) for field in fields]
    return refused(
        "PERMISSION_DENIED",
        "ROLE_LACKS",
        f"{what} ({', '.join(names)}), and the role {role} does not suffice for that: ask an admin",
        *(f"{SECTIONS[kind]}.{field}" for field in names),
    )
