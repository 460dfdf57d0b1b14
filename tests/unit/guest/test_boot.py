"""What a guest begins with."""

import time

from guest.boot import wall_clock_ns


def test_a_clock_begins_with_what_is_least_behind() -> None:
    told_ns = 1_500_000_000_000_000_000
    booted_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert 0 <= wall_clock_ns(told_ns, "") - told_ns - booted_ns < 60 * 10**9, "where there is no real-time clock"
    assert wall_clock_ns(told_ns, "1000") >= told_ns + booted_ns
    assert wall_clock_ns(told_ns, "1900000000") == 1_900_000_000 * 10**9
