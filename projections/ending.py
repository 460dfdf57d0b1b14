"""In which turns several workloads end: users before those they depend on. Pure, and imports nothing of ours."""

from collections.abc import Collection, Iterable, Mapping


def ending_turns(needs: Mapping[str, Collection[str]], names: Iterable[str]) -> list[list[str]]:
    """`names` in groups, each in its old order: nobody depends on one of a group before its own. `needs`: what each
    workload depends on."""
    left, turns = list(names), []
    while left:
        used = {other for name in left for other in needs.get(name, ())}
        # No circle is ever admitted; were there one, all that is left would go at once.
        turn = [name for name in left if name not in used] or left
        turns.append(turn)
        left = [name for name in left if name not in turn]
    return turns
