"""What a spec must be to be admitted: on its own (`check_spec`) and beside the others (`check_takes`)."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address

import msgspec

from journal.events import AppliedWorkload
from journal.specs import PortMapping, SealedEnv, SecretEnv
from projections.abilities import UNKNOWN, Abilities
from projections.container_rules import check_container
from projections.dependencies import waits_bytes
from projections.host_network import HostNetwork, Listener
from projections.intents import Declared
from projections.microvm_rules import check_microvm
from projections.network import clash
from projections.refusals import Refusal, beside, conflict, in_section, invalid, lacks, missing, refused
from projections.state import Machine, Workload
from projections.words import bytes_text

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
LABEL_NAME = re.compile(r"[^=!,\s]+")
"""As a selector can say it. Values are as free as notes, which many write there for people and for other tools."""
PROTOCOLS = ("tcp", "udp")
ENV_MOST = 1_024
ENV_CALL_MOST = 8_192
"""Variables of a workload, and of all workloads in one call: each value is a file that is made durable."""
DECLARED_BYTES_MAX = 3 << 20
"""Of all workloads' declarations together: one answer lists them whole, with what became of each, and a message has
4 MiB."""
STATUS_BYTES = 512
"""Reckoned for what a list says of a workload beside its declaration; what some have more of comes from the rest."""
WAITS_TOLD = 5
"""A status says in its message, and in so many conditions less one, what a workload waits for."""
TEXT_BYTES = 4
"""A message has more than the journal's form around a text, or a pair of them."""
LOG_BYTES_MIN, LOG_BYTES_MAX = 64 << 10, 1 << 40


def check_spec(declared: Declared, capabilities: frozenset[str], abilities: Abilities = UNKNOWN) -> Refusal | None:
    """What is wrong with the declaration by itself, or with this machine's drivers for it."""
    return _check_name(declared) or _check_drivers(declared, capabilities, abilities) or _check_fields(declared)


def check_change(declared: Declared, abilities: Abilities) -> Refusal | None:
    """What else a spec must be that is new: one that stands already was judged by the release that admitted it."""
    check = check_container if declared.spec.vm is None else check_microvm
    return check(declared.spec, abilities) or _check_host_paths(declared)


def _check_name(declared: Declared) -> Refusal | None:
    if NAME.fullmatch(declared.name):
        return None
    return bad_name("a workload", declared.name, " (it becomes a host name)")


def bad_name(kind: str, name: str, why: str = "", field: str = "name") -> Refusal:
    """No object of this kind can have the name. Of many that are declared at once it says which."""
    words = f"{kind}'s name has 1 to 63 lower-case letters, digits and inner hyphens{why}, and {name[:64]!r} is none"
    return invalid("BAD_NAME", words, field)


def check_labels(declared: Declared, had: frozenset[str]) -> Refusal | None:
    """A label by whose name nobody could choose is a slip: `-l` has commas between its terms, and signs in them. Names
    that it `had` were admitted when nothing was asked of them, and stay."""
    for name, _ in declared.labels:
        if name not in had and not LABEL_NAME.fullmatch(name):
            words = f"{name[:64]!r} is no name of a label: it has one character at least, and no space, `,`, `=` or `!`"
            return invalid("BAD_LABEL", words, "labels")
    return None


def _check_drivers(declared: Declared, capabilities: frozenset[str], abilities: Abilities) -> Refusal | None:
    spec = declared.spec
    if declared.kind == "microvm" and "microvm" not in capabilities:
        why = abilities.no_microvms or "it has no driver for them"
        return lacks("NO_MICROVM_DRIVER", f"this machine runs no microVMs: {why}. Or use `kind: Container`", "kind")
    if spec.vm is not None and "network.bridge" not in capabilities:
        words = "a microVM is always on the bridge, and this machine has no network driver for that"
        return lacks("NO_BRIDGE_DRIVER", words, "kind")
    if spec.network == "bridge" and "network.bridge" not in capabilities:
        return lacks(
            "NO_BRIDGE_DRIVER",
            "this machine has no network driver for BRIDGE: say `networkMode: HOST` or `networkMode: NONE`",
            "container.networkMode",
        )
    if spec.mounts and "volume" not in capabilities:
        return lacks("NO_VOLUME_DRIVER", "this machine has no volume driver", "container.mounts")
    return None


def _check_fields(declared: Declared) -> Refusal | None:
    spec = declared.spec
    if len(spec.env) + len(spec.secret_env) > ENV_MOST:
        words = f"a workload has at most {ENV_MOST} environment variables: put what is more into a file on a volume"
        return invalid("TOO_MANY_VARIABLES", words, "container.env")
    both = {one.name for one in spec.env} & {one.name for one in spec.secret_env}
    if both:
        message = f"{min(both)} has a value and a secret's: say one of them"
        return invalid("VARIABLE_TWICE", message, "container.secretEnv")
    variables: tuple[SealedEnv | SecretEnv, ...] = (*spec.env, *spec.secret_env)
    for variable in variables:
        if not ENV_NAME.fullmatch(variable.name):
            message = (
                f"{variable.name[:64]!r} is no name of an environment variable: it has letters, digits, `_`, `.` and "
                "`-`, and no digit first"
            )
            field = "env" if isinstance(variable, SealedEnv) else "secretEnv"
            return invalid("BAD_ENV_NAME", message, f"container.{field}")
    if not LOG_BYTES_MIN <= spec.log_max_bytes <= LOG_BYTES_MAX:
        return invalid("BAD_LOG_SIZE", "logs.maxSize is between 64KiB and 1TiB", "container.logs.maxSize")
    if spec.working_dir and not spec.working_dir.startswith("/"):
        return invalid("BAD_PATH", "workingDir must be an absolute path", "container.workingDir")
    for port in spec.ports:
        if not (1 <= port.container_port <= 65535 and 0 <= port.host_port <= 65535):
            return invalid(
                "BAD_PORT", "ports are numbers from 1 to 65535; a hostPort of 0 is chosen for you", "container.ports"
            )
        if port.host_address and not _is_address(port.host_address):
            return invalid(
                "BAD_ADDRESS", "a port's hostAddress is an IPv4 address of this machine", "container.ports.hostAddress"
            )
        if port.protocol not in PROTOCOLS:
            return invalid("BAD_PROTOCOL", "a port's protocol is tcp or udp", "container.ports.protocol")
    if spec.ports and spec.network == "none":
        return invalid("PORTS_WITHOUT_NETWORK", "a workload with network NONE has no ports to map", "container.ports")
    if spec.network == "host" and any(port.host_port not in (0, port.container_port) for port in spec.ports):
        return invalid(
            "PORT_NOT_MAPPED",
            "on the machine's own network a port cannot be mapped to another: use networkMode BRIDGE, or equal ports",
            "container.ports.hostPort",
        )
    return None


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def _check_host_paths(declared: Declared) -> Refusal | None:
    """A file that is not there is an operator's slip far more often than one that comes later."""
    if declared.absent_paths:
        path, field = declared.absent_paths[0]
        words = f"{path} does not exist on this machine: make it first, or correct the path"
    elif declared.silent_paths:
        path, field = declared.silent_paths[0]
        words = (
            f"{path} does not answer: the server or the disk that it lies on is away or hangs. Bring that back first, "
            "or correct the path"
        )
    else:
        return None
    return missing("HOST_PATH_MISSING", words, field, code="FAILED_PRECONDITION")


def check_host_ports(machine: Machine, declared: Declared, host: HostNetwork) -> Refusal | None:
    """What a mapping that is new would take from the machine itself, or would wait for at an address it lacks."""
    if declared.spec.network != "bridge":
        return None
    before = machine.workloads.get(declared.name)
    had = {_place(port) for port in before.spec.ports} if before is not None else set()
    # Who is on the machine's own network listens on it: of such a port `check_takes` knows whose it is.
    told = {
        (port.protocol, port.host_port)
        for workload in machine.workloads.values()
        if workload.spec.network == "host"
        for port in workload.spec.ports
    }
    for port in declared.spec.ports:
        if _place(port) in had:
            continue
        if port.host_address and not host.has(port.host_address):
            return _no_such_address(port.host_address, host)
        holder = host.holder(port) if (port.protocol, port.host_port) not in told else None
        if holder is not None:
            return _in_use(declared.name, port, holder)
    return None


def _place(port: PortMapping) -> tuple[str, int, str]:
    return port.protocol, port.host_port, port.host_address


def _no_such_address(address: str, host: HostNetwork) -> Refusal:
    known = ", ".join(host.addresses or ())
    return missing(
        "NO_SUCH_ADDRESS",
        f"this machine does not have the address {address}, so nothing would answer there: it has {known}. Without a "
        "hostAddress a port is on all of them",
        "container.ports.hostAddress",
        code="FAILED_PRECONDITION",
    )


def _in_use(name: str, port: PortMapping, holder: Listener) -> Refusal:
    what = f"host port {port.host_port}/{port.protocol}"
    where = f" at {holder.address}" if holder.address else ""
    other = ", or a hostAddress on which nothing listens there" if holder.address else ""
    return conflict(
        "PORT_IN_USE",
        f"{name} wants {what}, which {holder.whose or 'a program of the machine itself'} has{where} and would lose: "
        f"choose another hostPort{other}",
        "container.ports.hostPort",
    )


def check_takes(machine: Machine, items: Iterable[AppliedWorkload]) -> Refusal | None:
    """A host port belongs to one workload: those that stay, then the items in their order."""
    items = tuple(items)
    replaced = {item.name for item in items}
    holders: dict[tuple[str, int], list[tuple[str, PortMapping]]] = {}
    for workload in machine.workloads.values():
        if workload.name not in replaced:
            for port in workload.spec.ports:
                holders.setdefault((port.protocol, port.host_port), []).append((workload.name, port))
    for item in items:
        for port in item.container.ports:
            held = holders.setdefault((port.protocol, port.host_port), [])
            holder = next((name for name, other in held if clash(port, other)), None)
            if holder is not None:
                keeper = machine.workloads.get(holder)
                leaves = keeper is not None and keeper.desired == "deleting"
                return in_section(item.kind, beside(item.name, _taken(item.name, port, holder, leaves)))
            held.append((item.name, port))
    return None


def _taken(name: str, port: PortMapping, holder: str, leaves: bool) -> Refusal:
    what = f"host port {port.host_port}/{port.protocol}"
    if holder == name:
        return invalid("PORT_TWICE", f"{name} declares {what} more than once", "container.ports.hostPort")
    has = "has until it is gone" if leaves else "has"
    advice = (
        "repeat the call then, or choose another hostPort" if leaves else f"choose another hostPort, or delete {holder}"
    )
    return conflict("PORT_TAKEN", f"{name} wants {what}, which {holder} {has}: {advice}", "container.ports.hostPort")


def check_room(machine: Machine, items: Iterable[AppliedWorkload]) -> Refusal | None:
    """A list of all workloads has room for what is declared anew. Where an earlier release admitted more, nothing is
    refused that makes it no longer."""
    items = tuple(items)
    before = [machine.workloads[item.name] for item in items if item.name in machine.workloads]
    grown_bytes = sum(map(_told_bytes, items)) - sum(map(_told_bytes, before))
    if grown_bytes <= 0:
        return None
    together_bytes = grown_bytes + sum(map(_told_bytes, machine.workloads.values()))
    if together_bytes <= DECLARED_BYTES_MAX:
        return None
    return refused(
        "RESOURCE_EXHAUSTED",
        "TOO_MUCH_DECLARED",
        f"all workloads would have {bytes_text(together_bytes)} of declarations, and a list of them has room for "
        f"{bytes_text(DECLARED_BYTES_MAX)}: put long arguments into files on a volume, or delete workloads first",
        "workloads",
    )


def _told_bytes(one: AppliedWorkload | Workload) -> int:
    """No less than a list takes for it. Field names, which only this form has, stand for what only a message has; but
    for texts without one."""
    spec = one.container if isinstance(one, AppliedWorkload) else one.spec
    check = () if spec.health is None else spec.health.command
    bare = (
        one.labels, one.depends_on, spec.command, spec.args, spec.host_bind_paths, spec.extra_hosts, spec.cap_add,
        spec.cap_drop, check,
    )  # fmt: skip
    encoded = _encoder.encode((one.name, spec, one.labels, one.depends_on))
    status_bytes = STATUS_BYTES + WAITS_TOLD * waits_bytes(one.depends_on)
    return len(encoded) + TEXT_BYTES * sum(map(len, bare)) + status_bytes


_encoder = msgspec.msgpack.Encoder()
