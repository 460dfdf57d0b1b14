"""Trouble is about what is due: it goes with that, once it is reached, or once nobody wants it any more. Pure.

Whatever ends what an effect was for drops the trouble with it: nobody will reach that goal, and nothing else would say
that it is over.
"""

from msgspec.structs import replace

from projections.state import Machine, Workload


def relieved(workload: Workload, *effects: str) -> Workload:
    """The workload without trouble with these effects."""
    trouble = workload.trouble
    if trouble is None or trouble.effect not in effects:
        return workload
    return replace(workload, trouble=None, hold=None, hold_until_wall=0)


def relieve(machine: Machine, name: str, *effects: str) -> None:
    """As `relieved`, of the workload in the state, if it is there."""
    workload = machine.workloads.get(name)
    if workload is not None and workload.trouble is not None:
        machine.workloads[name] = relieved(workload, *effects)
