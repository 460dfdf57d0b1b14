"""The network: who has which address and which host ports, and whether the world is known to agree.

Addresses and free host ports are chosen at admission and stand in the event; the fold only keeps them. Whether the
rules on the machine are the wanted ones is a comparison of two sequence numbers: when what is wanted last changed
(another hand's drift counts), and up to when it was last ensured.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from operator import itemgetter

import msgspec
from msgspec.structs import replace

from journal.entry import Header
from journal.events import NetworkAttached, NetworkDetached, NetworkDrifted, NetworkEnsured, NetworkMoved, Readdressed
from journal.specs import ContainerSpec, PortMapping
from projections.foreign import LINK, RULES, marked, rules_are_left
from projections.handlers import Handlers
from projections.intents import DEFAULT_SUBNET
from projections.phases import LIVE
from projections.refusals import Refusal, refused
from projections.secrets import living_spec
from projections.state import Machine, Workload
from projections.troubles import relieve, relieved

ZONE = "capsule"
"""The domain in which workloads have their names."""

FREE_PORTS = range(30_000, 32_768)
"""Where a host port comes from when a mapping leaves the choice to the machine."""


class Mapping(msgspec.Struct, frozen=True, omit_defaults=True, order=True):
    """A host port that leads to a workload's port. `host_address`: on this address only; empty: on all of them."""

    protocol: str
    host_port: int
    host_address: str
    address: str
    port: int


def wanted_mappings(machine: Machine) -> tuple[Mapping, ...]:
    """What the rules are to hold, sorted. A run that goes on until its successor can begin has host ports that it is
    not declared with any more: another workload may have been given them since."""
    wanted: list[Mapping] = []
    former: list[tuple[int, Workload]] = []
    for workload in machine.workloads.values():
        if workload.run is not None and _former_spec(workload) is not None:
            former.append((workload.run.revision, workload))
        elif workload.spec.ports:
            wanted += _mappings_of(workload)
    # Of two such runs the port is the one's that was declared last.
    for _, workload in sorted(former, key=itemgetter(0), reverse=True):
        wanted += [one for one in _mappings_of(workload) if not any(clash(one, other) for other in wanted)]
    return tuple(sorted(wanted))


def _mappings_of(workload: Workload) -> tuple[Mapping, ...]:
    """The host ports that lead to the workload now: those of one that is on the bridge and shall run. While a run
    lives, they are its own."""
    spec = living_spec(workload)
    if spec.network != "bridge" or workload.desired != "running":
        return ()
    return tuple(
        Mapping(port.protocol, port.host_port, port.host_address, workload.address, port.container_port)
        for port in spec.ports
    )


def _former_spec(workload: Workload) -> ContainerSpec | None:
    """What a run was begun from that lives on and is not as the workload is declared now."""
    run = workload.run
    return run.spec if run is not None and run.phase in LIVE else None


def is_bridged(workload: Workload) -> bool:
    """Whether the workload's spec puts it on the bridge."""
    return workload.spec.network == "bridge"


def in_use(machine: Machine, but: str = "") -> bool:
    """Whether anything is, was or will be on the bridge, `but` this workload."""
    return any(workload.address for name, workload in machine.workloads.items() if name != but)


def free_address(subnet: str, taken: Iterable[str]) -> str | None:
    """The lowest free address behind the machine's own, which is the first; None when the subnet is exhausted."""
    network = IPv4Network(subnet)
    held = {int(IPv4Address(one)) for one in taken}
    first, last = int(network.network_address) + 2, int(network.broadcast_address) - 1
    found = next((number for number in range(first, last + 1) if number not in held), None)
    return None if found is None else str(IPv4Address(found))


def moved_to(machine: Machine, subnet: str) -> NetworkMoved | Refusal | None:
    """What becomes of those on the bridge when its subnet is this one; None if it was before. Each is told of another
    gateway, whether its address is good there, too, or not: what runs has the old one as its way out."""
    if subnet == (machine.network.subnet or DEFAULT_SUBNET):
        return None
    network = IPv4Network(subnet)
    usable = range(int(network.network_address) + 2, int(network.broadcast_address))
    on_it = sorted(one.name for one in machine.workloads.values() if one.address and is_bridged(one))
    taken = {one.address for one in machine.workloads.values() if one.address}
    items = []
    for name in on_it:
        workload = machine.workloads[name]
        stays = int(IPv4Address(workload.address)) in usable
        address = workload.address if stays else free_address(subnet, taken)
        if address is None:
            return refused("RESOURCE_EXHAUSTED", "NO_ADDRESS", f"{len(on_it)} workloads need an address of {subnet}")
        taken.add(address)
        items.append(Readdressed(name, workload.uid, address))
    return NetworkMoved(subnet, tuple(items))


def clash(one: PortMapping | Mapping, other: PortMapping | Mapping) -> bool:
    """Whether two mappings want the same port of the same address."""
    same = (one.protocol, one.host_port) == (other.protocol, other.host_port)
    return same and (not one.host_address or not other.host_address or one.host_address == other.host_address)


# --- the fold ----------------------------------------------------------------------------------------------------


def touch(machine: Machine, header: Header, before: Workload | None, after: Workload) -> None:
    """Note whether what is wanted of bridge and rules has changed with this workload, which stands in the state as
    `after`. Where its host ports are as they were, the rules are, too, if somebody keeps the bridge."""
    if not after.address:
        return
    mappings = () if before is None else _mappings_of(before)
    if mappings != _mappings_of(after) or not (_keeps_it(after) or _is_kept(machine, after.name)):
        machine.network = replace(machine.network, changed_seq=header.seq)


def run_over(machine: Machine, header: Header, before: Workload, after: Workload) -> None:
    """A run ended that was not as the workload is declared now: from here bridge and rules are as that says."""
    if _former_spec(before) is not None:
        touch(machine, header, before, after)


def _keeps_it(workload: Workload) -> bool:
    """Whether a run of it is on the bridge, and so does not let go of that."""
    run = workload.run
    alive = run is not None and run.phase in LIVE
    return alive and workload.desired == "running" and living_spec(workload).network == "bridge"


def _is_kept(machine: Machine, but: str) -> bool:
    """Whether another workload than `but` stays on the bridge. With the last one it goes, perhaps just now."""
    return any(
        workload.address and is_bridged(workload) and workload.desired != "deleting"
        for name, workload in machine.workloads.items()
        if name != but
    )


def ensured(machine: Machine, header: Header, event: NetworkEnsured) -> None:
    """Bridge and rules are as they were wanted at `upto`, whoever had trouble to make them so."""
    machine.network = replace(machine.network, ensured_seq=event.upto, foreign=None)
    for name in machine.workloads:
        relieve(machine, name, "EnsureNetwork")


def drifted(machine: Machine, header: Header, event: NetworkDrifted) -> None:
    """Another hand changed what is ours: it is not known to be there any more. Whether the rules are mended is said by
    the policies of those on the bridge."""
    workload = machine.workloads.get(event.name)
    if not event.name:
        foreign = marked(header, RULES, event.what, "report")
        machine.network = replace(machine.network, changed_seq=header.seq, foreign=foreign)
        for name, one in machine.workloads.items():
            if rules_are_left(machine, one):
                relieve(machine, name, "EnsureNetwork")
    elif workload is not None and workload.uid == event.uid:
        unlinked = marked(header, LINK, event.what, workload.drift)
        machine.workloads[event.name] = replace(workload, attached=False, unlinked=unlinked)


def moved(machine: Machine, header: Header, event: NetworkMoved) -> None:
    """Bridge and rules are to be made anew, and so are the links; what runs was told its old address and servers."""
    machine.network = replace(machine.network, changed_seq=header.seq, subnet=event.subnet, foreign=None)
    for item in event.items:
        workload = machine.workloads.get(item.name)
        if workload is None or workload.uid != item.uid:
            continue
        run, workload = workload.run, relieved(workload, "AttachNetwork")
        if run is not None and run.phase in LIVE:
            workload = replace(workload, superseded=run.number)
        machine.workloads[item.name] = replace(workload, address=item.address, attached=False, unlinked=None)


def attached(machine: Machine, header: Header, event: NetworkAttached) -> None:
    """The workload's link exists, and its namespace, if it has one."""
    workload = machine.workloads.get(event.name)
    if workload is None or workload.uid != event.uid:
        return
    run = workload.run
    if event.anew and run is not None and run.phase in LIVE:
        workload = replace(workload, superseded=run.number)
    machine.workloads[event.name] = replace(relieved(workload, "AttachNetwork"), attached=True, unlinked=None)


def detached(machine: Machine, header: Header, event: NetworkDetached) -> None:
    """Nothing of the workload's link is left, and its address is free: unless an apply put it there again meanwhile."""
    workload = machine.workloads.get(event.name)
    if workload is not None and workload.uid == event.uid:
        address = workload.address if is_bridged(workload) else ""
        machine.workloads[event.name] = replace(workload, attached=False, address=address, unlinked=None)


def power_lost(machine: Machine, header: Header) -> None:
    """Namespaces, links and rules do not outlive a boot."""
    machine.network = replace(machine.network, changed_seq=header.seq, foreign=None)
    for name, workload in machine.workloads.items():
        if workload.attached or workload.unlinked is not None:
            machine.workloads[name] = replace(workload, attached=False, unlinked=None)


HANDLERS: Handlers = {
    NetworkEnsured: ensured,
    NetworkDrifted: drifted,
    NetworkMoved: moved,
    NetworkAttached: attached,
    NetworkDetached: detached,
}
