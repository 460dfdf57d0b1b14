"""How far a guest's wall clock is from the machine's, by what it said of it and how long its answer took. Pure.

A guest's clock is set at its boot. The machine's own may be set right only afterwards, and both drift: so each beat
looks, and the next one has the guest make up for what it was off.
"""

TOLERANCE_NS = 50_000_000
"""Nobody minds so little, and two clocks that are looked at through a channel never agree quite."""


def behind_ns(now_ns: int, took_ns: int, said_ns: int) -> int:
    """The distance, negative where it is ahead; 0 where the way of the answer may explain all of it, or the guest does
    not say (0). `now_ns` is the machine's wall clock when the answer had come, which took `took_ns`."""
    way_ns = took_ns // 2
    distance_ns = now_ns - way_ns - said_ns
    return distance_ns if said_ns > 0 and abs(distance_ns) > way_ns + TOLERANCE_NS else 0
