"""The images that microVMs need as disks: those that are declared, and those that something still runs from. Pure."""

from projections.phases import LIVE
from projections.state import Machine


def wanted_payloads(machine: Machine) -> frozenset[str]:
    """The platform digests of the images that a microVM is declared with or runs from."""
    found = set()
    for workload in machine.workloads.values():
        if workload.kind != "microvm":
            continue
        found.add(workload.spec.image.platform_digest)
        if workload.run is not None and workload.run.spec is not None and workload.run.phase in LIVE:
            found.add(workload.run.spec.image.platform_digest)
    return frozenset(found - {""})
