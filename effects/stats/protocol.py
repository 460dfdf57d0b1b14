"""What it takes to see what a run uses: the contract that the machine's meter and its twin both keep.

Nothing is kept between two looks, and nothing is looked at unless somebody asks.
"""

from typing import Protocol

import msgspec


class Measured(msgspec.Struct, frozen=True):
    """A run to look at. `bridged`: it has a link of its own to count on."""

    name: str
    uid: int
    run: int
    bridged: bool = False


class Cpu(msgspec.Struct, frozen=True):
    """Processor time since the run began. `throttled_ns`: so long it would have run, had its limit let it."""

    total_ns: int
    throttled_ns: int = 0


class Memory(msgspec.Struct, frozen=True):
    """`working_set_bytes` is what cannot be had back without harm: all that is charged, less the files' pages that
    nobody has used lately. `anonymous_bytes` is what no file stands behind. `limit_bytes`: 0 for none."""

    working_set_bytes: int
    anonymous_bytes: int = 0
    limit_bytes: int = 0


class Pids(msgspec.Struct, frozen=True):
    """Processes and threads. `limit`: 0 for none."""

    current: int
    limit: int = 0


class Disk(msgspec.Struct, frozen=True):
    """What went to and came from block devices since the run began, all of them together."""

    read_bytes: int = 0
    written_bytes: int = 0
    reads: int = 0
    writes: int = 0


class Traffic(msgspec.Struct, frozen=True):
    """What went over the workload's link since the link was made, seen from the workload."""

    received_bytes: int = 0
    sent_bytes: int = 0
    received_packets: int = 0
    sent_packets: int = 0
    received_dropped: int = 0
    sent_dropped: int = 0


class Usage(msgspec.Struct, frozen=True):
    """What a run uses at `at_ns` (monotonic). None where this machine does not count it; `traffic` also where the run
    has no link of its own. `whole`: nothing is None for want of an answer of the run's guest."""

    name: str
    uid: int
    run: int
    at_ns: int
    cpu: Cpu | None = None
    memory: Memory | None = None
    pids: Pids | None = None
    disk: Disk | None = None
    traffic: Traffic | None = None
    whole: bool = True


class Meter(Protocol):
    """Looks at runs on one kind of machine. Failures are `DriverError`s."""

    async def measure(self, runs: tuple[Measured, ...]) -> tuple[Usage, ...]:
        """Of those that live, in their order; one that has ended is left out."""
        ...

    async def layer_bytes(self, name: str, uid: int, revision: int) -> int | None:
        """What a revision has written beside its volumes: the size of its writable layer, counted file by file. None
        where there is none."""
        ...
