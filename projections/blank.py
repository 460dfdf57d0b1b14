"""Whether a machine has nothing yet that somebody could miss. Pure."""

from projections.state import Machine


def holds(machine: Machine) -> str:
    """What it has, in words; empty of a blank one. Images and operators' keys are none of it: whoever moves in brings
    those beforehand, images to have them here and a key to be let in."""
    counted = (
        (len(machine.workloads), "workload"),
        (len(machine.volumes), "volume"),
        (len(machine.secrets), "secret"),
        (len(machine.registries), "known registry"),
    )
    return ", ".join(
        f"{count} {word if count == 1 else word.replace('registry', 'registrie') + 's'}"
        for count, word in counted
        if count
    )
