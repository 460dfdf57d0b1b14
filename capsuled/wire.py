"""Between protobuf and the house's own words: parsed here, once, and nothing untyped goes further in. Pure."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from capsule.v1 import workload_pb2 as pb
from capsuled.sealing import PREFIX, shown
from capsuled.wire_container import (
    Section,
    as_declared,
    machine_message,
    runs_plain,
    tell_runs,
    with_machine,
    with_runs,
)
from capsuled.wire_fields import field_with_nul, strange_field, unknown_field
from capsuled.wire_microvm import parse_vm, vm_message, vm_plain
from effects.goals import Effect, detail_of, kind_of
from effects.images.reference import BadReference, normalise
from journal.specs import LOG_MAX_BYTES, ContainerSpec, DriftPolicy, ImagePin, Kind, Network, PortMapping, VolumeMount
from projections.conditions import conditions_of
from projections.dependencies import waits as waits_of
from projections.intents import Declared
from projections.manifest import camel
from projections.phases import LIVE, RunPhase
from projections.refusals import SECTIONS, Refusal, in_section, invalid
from projections.state import Machine, Workload
from projections.status import Phase, how_it_ended, status_of
from projections.words import WRITTEN, check_text

_NETWORKS: dict[int, Network] = {
    pb.NETWORK_MODE_UNSPECIFIED: "none",
    pb.NETWORK_MODE_NONE: "none",
    pb.NETWORK_MODE_HOST: "host",
    pb.NETWORK_MODE_BRIDGE: "bridge",
}
_NETWORKS_OUT = {"none": pb.NETWORK_MODE_NONE, "host": pb.NETWORK_MODE_HOST, "bridge": pb.NETWORK_MODE_BRIDGE}
_PHASES = {
    Phase.PENDING: pb.WORKLOAD_PHASE_PENDING,
    Phase.RUNNING: pb.WORKLOAD_PHASE_RUNNING,
    Phase.FAILED: pb.WORKLOAD_PHASE_FAILED,
    Phase.STOPPED: pb.WORKLOAD_PHASE_STOPPED,
}
_KINDS_OUT = {"container": pb.WORKLOAD_KIND_CONTAINER, "microvm": pb.WORKLOAD_KIND_MICRO_VM}
_DESIRED_OUT = {
    "running": pb.DESIRED_STATE_RUNNING,
    "stopped": pb.DESIRED_STATE_STOPPED,
    "deleting": pb.DESIRED_STATE_DELETING,
}
POLICIES: dict[int, DriftPolicy] = {
    pb.DRIFT_POLICY_UNSPECIFIED: "repair",
    pb.DRIFT_POLICY_REPAIR: "repair",
    pb.DRIFT_POLICY_REPORT: "report",
}
STOP_GRACE_MS = 10_000
_STOP_GRACE_MAX_S = 3_600


class Parsed(msgspec.Struct, frozen=True):
    """A workload as it came in: `env` in clear or as `sealed:<hash>`, the image not yet resolved."""

    declared: Declared
    env: tuple[tuple[str, str], ...]


def parse_workload(message: pb.Workload) -> Parsed | Refusal:
    """One declaration. What a newer client may say and this release does not know is refused, never dropped."""
    kind = _kind(message)
    if isinstance(kind, Refusal):
        return kind
    strange = strange_field(message)
    if strange:
        return unknown_field(strange)
    spoiled = field_with_nul(message)
    if spoiled:
        return invalid("BAD_TEXT", f"{spoiled} holds a NUL byte, which no process can be given", spoiled)
    section = message.container if kind == "container" else message.micro_vm
    spec = _parse_spec(section)
    if isinstance(spec, Refusal):
        return in_section(kind, spec)
    desired = _desired(message)
    if isinstance(desired, Refusal):
        return desired
    if message.drift not in POLICIES:
        return invalid("BAD_DRIFT", "the drift policy is not one this release knows: repair or report", "drift")
    declared = Declared(
        name=message.name,
        kind=kind,
        spec=spec,
        image_ref=spec.image.ref,
        labels=tuple(sorted(message.labels.items())),
        desired=desired,
        depends_on=tuple(sorted(set(message.depends_on))),
        drift=POLICIES[message.drift],
    )
    return Parsed(declared, tuple(sorted(section.env.items())))


def _kind(message: pb.Workload) -> Kind | Refusal:
    """Of what is declared. A client of old may leave it out: its containers are the older kind."""
    match message.kind:
        case pb.WORKLOAD_KIND_UNSPECIFIED:
            only_vm = message.HasField("micro_vm") and not message.HasField("container")
            kind: Kind = "microvm" if only_vm else "container"
        case pb.WORKLOAD_KIND_CONTAINER:
            kind = "container"
        case pb.WORKLOAD_KIND_MICRO_VM:
            kind = "microvm"
        case _:
            return invalid("BAD_KIND", "the workload's kind is not one this release knows", "kind")
    mine, other = ("container", "micro_vm") if kind == "container" else ("micro_vm", "container")
    if not message.HasField(mine):
        return invalid("NO_SPEC", f"a {WRITTEN[kind]} needs a `{SECTIONS[kind]}:` section", SECTIONS[kind])
    if message.HasField(other):
        return invalid("TWO_SPECS", f"{camel(other)} does not go with `kind: {WRITTEN[kind]}`", camel(other))
    return kind


def _parse_spec(section: Section) -> ContainerSpec | Refusal:
    """What is to run. The fields at fault are named as a container's."""
    vm = parse_vm(section) if isinstance(section, pb.MicroVMSpec) else None
    if isinstance(vm, Refusal):
        return vm
    image_ref = ""
    if section.image or vm is None or not (vm.kernel_path or vm.rootfs_path):
        try:
            image_ref = normalise(section.image)
        except BadReference as error:
            return invalid("BAD_IMAGE", str(error), "container.image")
    if isinstance(section, pb.ContainerSpec) and section.network_mode not in _NETWORKS:
        return invalid("BAD_NETWORK", "the network mode is not one this release knows", "container.networkMode")
    grace_s = section.stop_grace_seconds if section.HasField("stop_grace_seconds") else STOP_GRACE_MS // 1000
    if grace_s > _STOP_GRACE_MAX_S:
        return invalid("BAD_GRACE", "stopGraceSeconds is at most 3600", "container.stopGraceSeconds")
    spec = ContainerSpec(
        image=ImagePin(image_ref, "", ""),
        command=tuple(section.command),
        args=tuple(section.args),
        working_dir=section.working_dir,
        user=section.user,
        mounts=tuple(VolumeMount(one.volume_name, one.mount_path, one.read_only) for one in section.mounts),
        network=_NETWORKS[section.network_mode] if isinstance(section, pb.ContainerSpec) else "bridge",
        ports=tuple(
            PortMapping(
                one.container_port, one.host_port, one.protocol.lower() or "tcp", _host_address(one.host_address)
            )
            for one in section.ports
        ),
        stop_grace_ms=grace_s * 1000,
        log_max_bytes=section.logs.max_size_bytes or LOG_MAX_BYTES,
        vm=vm,
    )
    runs = with_runs(spec, section)
    if isinstance(runs, Refusal) or isinstance(section, pb.MicroVMSpec):
        return runs
    return with_machine(runs, section)


def _desired(message: pb.Workload) -> Literal["running", "stopped"] | Refusal:
    match message.desired_state:
        case pb.DESIRED_STATE_UNSPECIFIED | pb.DESIRED_STATE_RUNNING:
            return "running"
        case pb.DESIRED_STATE_STOPPED:
            return "stopped"
        case _:
            return invalid("BAD_DESIRED_STATE", "a workload is deleted by Delete, not by Apply", "desiredState")


def _host_address(text: str) -> str:
    """All addresses have one name here, also when a client says it as sockets do."""
    return "" if text == "0.0.0.0" else text


def is_sealed(value: str) -> bool:
    """Whether an env value is the text that stands for a sealed one."""
    return value.startswith(PREFIX)


def workload_message(machine: Machine, workload: Workload) -> pb.Workload:
    """A workload as clients see it; applied back, it changes nothing. `machine` is the state that it stands in."""
    spec = workload.spec
    message = pb.Workload(
        name=workload.name,
        kind=_KINDS_OUT[spec.kind],
        status=status_message(workload, waits_of(machine, workload)),
        desired_state=_DESIRED_OUT[workload.desired],
        labels=dict(workload.labels),
        depends_on=workload.depends_on,
        drift=pb.DRIFT_POLICY_REPORT if workload.drift == "report" else pb.DRIFT_POLICY_UNSPECIFIED,
        uid=workload.uid,
        revision=workload.revision,
        desired_seq=workload.desired_seq,
        image_digest=spec.image.platform_digest,
    )
    if spec.vm is None:
        message.container.CopyFrom(machine_message(spec))
        message.container.network_mode = _NETWORKS_OUT[spec.network]
        _tell(message.container, spec)
    else:
        message.micro_vm.CopyFrom(vm_message(spec.vm))
        _tell(message.micro_vm, spec)
    return message


def _tell(section: Section, spec: ContainerSpec) -> None:
    """Fill in what every kind of workload has."""
    section.image = spec.image.ref
    section.command.extend(spec.command)
    section.args.extend(spec.args)
    section.env.update({variable.name: shown(variable) for variable in spec.env})
    section.mounts.extend(
        pb.VolumeMount(volume_name=one.volume_name, mount_path=one.mount_path, read_only=one.read_only)
        for one in spec.mounts
    )
    section.ports.extend(
        pb.PortMapping(
            container_port=one.container_port,
            host_port=one.host_port,
            protocol=one.protocol,
            host_address=one.host_address,
        )
        for one in spec.ports
    )
    section.working_dir = spec.working_dir
    section.user = spec.user
    section.stop_grace_seconds = spec.stop_grace_ms // 1000
    if spec.log_max_bytes != LOG_MAX_BYTES:
        section.logs.max_size_bytes = spec.log_max_bytes
    tell_runs(section, spec)


def status_message(workload: Workload, waits: str) -> pb.WorkloadStatus:
    """What became of it."""
    status, run = status_of(workload, waits), workload.run
    message = pb.WorkloadStatus(
        phase=_PHASES[status.phase],
        message=status.message,
        restart_count=workload.restarts,
        phase_detail=status.detail,
        next_retry_unix_ns=max(workload.hold_until_wall, workload.pause_until_wall),
        address=workload.address,
        ends_in_a_row=workload.streak,
        conditions=[
            pb.WorkloadCondition(type=one.type, met=one.met, reason=one.reason, message=one.message)
            for one in conditions_of(workload, waits)
        ],
    )
    if run is not None:
        message.pid = run.pid
        message.run = run.number
        # That it began is noted when it is seen, and its end when it was: what ended unseen had begun by then.
        message.started_at_unix_ns = min(run.started_at, run.finished_at) if run.finished_at else run.started_at
        message.finished_at_unix_ns = run.finished_at
        message.oom_killed = run.oom
        message.oom_kills = run.oom_kills
        message.accelerator = run.accelerator
        message.fault = run.fault or ""
        if run.exit_code is not None:
            message.exit_code = run.exit_code
        if run.phase is RunPhase.RUNNING and workload.spec.health is not None:
            message.health = run.health or "checking"
            message.health_message = check_text(run.health_message)
            message.health_since_unix_ns = run.health_at or run.started_at
    last = workload.last_run
    if last is not None and last.phase not in LIVE:
        message.last_end = how_it_ended(last)
        message.last_end_unix_ns = last.finished_at
    return message


def plan_messages(plan: Iterable[Effect]) -> list[pb.PlannedEffect]:
    """A plan as `--dry-run` prints it."""
    return [pb.PlannedEffect(effect=kind_of(goal), object=goal.name, detail=detail_of(goal)) for goal in plan]


def args_hash(request: Any) -> str:
    """What makes two calls the same call: the request, deterministically encoded."""
    return hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()


def field_changes(before: Workload | None, after: Workload | None) -> list[tuple[str, str, str, str]]:
    """(op, path, old, new) for every declared field that differs, values as JSON."""
    old = {} if before is None else _flat("", _declared_plain(before))
    new = {} if after is None else _flat("", _declared_plain(after))
    changes = []
    for path in sorted(old.keys() | new.keys()):
        if path not in old:
            changes.append(("add", path, "", _json(new[path])))
        elif path not in new:
            changes.append(("remove", path, _json(old[path]), ""))
        elif old[path] != new[path]:
            changes.append(("change", path, _json(old[path]), _json(new[path])))
    return changes


def _declared_plain(workload: Workload) -> dict[str, Any]:
    """What an operator declared, in the manifest's words, with the pinned digest beside the image."""
    spec = workload.spec
    section = {
        "image": spec.image.ref,
        "imageDigest": spec.image.platform_digest,
        "command": list(spec.command),
        "args": list(spec.args),
        "env": {variable.name: shown(variable) for variable in spec.env},
        "workingDir": spec.working_dir,
        "user": spec.user,
        "mounts": [as_declared(one) for one in spec.mounts],
        **({"networkMode": spec.network.upper()} if spec.vm is None else vm_plain(spec.vm)),
        "ports": [_port(one) for one in spec.ports],
        "privileged": spec.privileged,
        "hostPid": spec.host_pid,
        "hostMount": spec.host_mount,
        "hostIpc": spec.host_ipc,
        "hostBindPaths": list(spec.host_bind_paths),
        "stopGraceSeconds": spec.stop_grace_ms // 1000,
        **runs_plain(spec),
        "logs": {} if spec.log_max_bytes == LOG_MAX_BYTES else {"maxSizeBytes": spec.log_max_bytes},
    }
    return {
        "kind": workload.kind,
        "desiredState": workload.desired,
        "labels": dict(workload.labels),
        **({"dependsOn": list(workload.depends_on)} if workload.depends_on else {}),
        **({"drift": workload.drift} if workload.drift != "repair" else {}),
        SECTIONS[spec.kind]: {
            name: value for name, value in section.items() if value is not False and value not in ("", [], {})
        },
    }


def _port(port: PortMapping) -> str:
    address = f"{port.host_address}:" if port.host_address else ""
    return f"{address}{port.host_port}:{port.container_port}/{port.protocol}"


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        flat: dict[str, Any] = {}
        for name, item in value.items():
            flat.update(_flat(f"{prefix}.{name}" if prefix else name, item))
        return flat
    return {prefix: value}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
