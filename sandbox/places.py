"""How places inside a workload lie to each other: what is mounted hides what is below it. Pure, and shared: the daemon
makes a container's mounts by it, the agent a payload's."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def depth(place: str) -> int:
    """How many directories below the root. The outer is mounted before the inner, which it would hide: what is written
    there would lie in the wrong one."""
    return sum(map(bool, place.split("/")))


def covered(place: str, places: "Iterable[str]") -> bool:
    """Whether something declared is at or above a place: what is there is the operator's business then."""
    return any(place == one or place.startswith(one.rstrip("/") + "/") for one in places)
