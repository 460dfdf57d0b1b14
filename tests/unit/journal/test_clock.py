"""The machine's clocks: monotonic time and a wall that never runs behind what is known to have passed."""

import asyncio
import time

from journal.clock import SystemClock


def test_the_wall_never_runs_behind_the_journals_last_entry() -> None:
    future = time.time_ns() + 10**15
    assert SystemClock(floor_ns=future).wall_ns() == future
    assert SystemClock(floor_ns=5).wall_ns() > 10**18


def test_an_entry_of_a_fast_clock_does_not_hold_one_that_was_set_right() -> None:
    now_ns = time.time_ns()
    known_ns, fast_ns = now_ns - 10**15, now_ns + 10**15
    assert now_ns <= SystemClock(fast_ns, known_ns).wall_ns() < now_ns + 10**12
    assert SystemClock(fast_ns, now_ns + 10**14).wall_ns() == fast_ns, "it is wrong for sure: people read on there"
    assert SystemClock(0, fast_ns).wall_ns() == fast_ns


def test_monotonic_time_and_boot_id_are_the_kernels() -> None:
    clock = SystemClock()
    first = clock.mono_ns()
    asyncio.run(clock.sleep(0))
    assert clock.mono_ns() >= first > 0 and len(clock.boot_id) == 36
