"""What a burst is made of: operations on plots, and faults among them, as chance has it."""

from random import Random

FAULT_SHARE = 0.2


def drawn(
    random: Random, count: int, begun: int, plots: int, faults: dict[str, int]
) -> tuple[list[list[int]], list[str]]:
    """`count` things: of each plot the numbers of its operations, counted on from `begun`; and the faults, chosen by
    their weights."""
    work: list[list[int]] = [[] for _ in range(plots)]
    struck = []
    for number in range(count):
        if random.random() < FAULT_SHARE:
            struck.append(random.choices(tuple(faults), tuple(faults.values()))[0])
        else:
            work[random.randrange(plots)].append(begun + number)
    return work, struck
