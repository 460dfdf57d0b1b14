"""Choices that admission makes for an apply: addresses on the bridge, host ports that were left to the machine. Pure.

A choice stands in the event and is kept as long as the incarnation lives; what a batch takes, its later items see, and
what it names, all of them, whatever their order.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from journal.events import AppliedWorkload
from journal.specs import ContainerSpec, PortMapping
from projections.host_network import UNSEEN, HostNetwork
from projections.network import FREE_PORTS, clash, free_address
from projections.refusals import Refusal, refused
from projections.state import Machine, Workload


class Allocator:
    """Hands out what no workload has, and none of those `declared` names. One per call."""

    def __init__(
        self, machine: Machine, subnet: str, declared: Iterable[ContainerSpec], host: HostNetwork = UNSEEN
    ) -> None:
        self._machine = machine
        self._host = host
        self._subnet = subnet
        self._addresses = {one.address for one in machine.workloads.values() if one.address}
        self._ports = [port for one in machine.workloads.values() for port in one.spec.ports]
        self._ports += [port for spec in declared for port in _unmapped(spec) if port.host_port]

    def allot(self, item: AppliedWorkload) -> AppliedWorkload | Refusal:
        """The item with an address, if its network asks for one, and with all its host ports."""
        before = self._machine.workloads.get(item.name)
        ports = self._chosen(before, _unmapped(item.container))
        if isinstance(ports, Refusal):
            return ports
        item = replace(item, container=replace(item.container, ports=ports))
        if before is not None:
            item = replace(item, changed=before.spec != item.container)
        if item.container.network != "bridge":
            return item
        address = before.address if before is not None else ""
        found = address or free_address(self._subnet, self._addresses)
        if found is None:
            return refused(
                "RESOURCE_EXHAUSTED",
                "NO_ADDRESS",
                f"{item.name} cannot be put on the bridge: all {len(self._addresses)} addresses of {self._subnet} are "
                "taken. Delete a workload, or use networkMode HOST or NONE",
                "container.networkMode",
            )
        self._addresses.add(found)
        return replace(item, address=found)

    def _chosen(self, before: Workload | None, ports: tuple[PortMapping, ...]) -> tuple[PortMapping, ...] | Refusal:
        chosen = list(ports)
        for index, port in enumerate(ports):
            if port.host_port == 0:
                found = self._kept(before, port, chosen) or self._free(port)
                if found is None:
                    return refused(
                        "RESOURCE_EXHAUSTED",
                        "NO_PORT",
                        f"all host ports from {FREE_PORTS.start} to {FREE_PORTS.stop - 1} are taken: name a hostPort",
                        "container.ports.hostPort",
                    )
                chosen[index] = found
                self._ports.append(found)
        return tuple(chosen)

    def _kept(self, before: Workload | None, port: PortMapping, others: list[PortMapping]) -> PortMapping | None:
        """What the workload was given for this port already: a repeated apply changes nothing. One that it names for
        another port now, it has for that."""
        for one in () if before is None else before.spec.ports:
            if replace(one, host_port=0) == port and not any(clash(one, other) for other in others):
                return one
        return None

    def _free(self, port: PortMapping) -> PortMapping | None:
        fresh = (replace(port, host_port=number) for number in FREE_PORTS)
        return next((one for one in fresh if not self._is_taken(one)), None)

    def _is_taken(self, port: PortMapping) -> bool:
        return self._host.holder(port) is not None or any(clash(port, taken) for taken in self._ports)


def _unmapped(spec: ContainerSpec) -> tuple[PortMapping, ...]:
    """On the machine's own network nothing is mapped, so there is nothing to choose: a port is what it is."""
    if spec.network != "host":
        return spec.ports
    return tuple(replace(port, host_port=port.container_port) for port in spec.ports)
