"""What the machine has for workloads, as far as admission must know it: found by resolve, judged here. Pure."""

import msgspec


class Abilities(msgspec.Struct, frozen=True):
    """The machine's limits. None, 0 and empty are what nobody asked about: nothing is refused for their sake.

    `controllers`: the kernel's cgroup controllers; `swap`: whether swap can be limited; `capabilities`: what this
    daemon can give on; `ulimits`: hard limits that it cannot raise, by name. `no_microvms`: why it runs none, and what
    to do about it.
    """

    cpus: int = 0
    memory_bytes: int = 0
    pids: int = 0
    controllers: frozenset[str] | None = None
    swap: bool = True
    capabilities: frozenset[str] | None = None
    ulimits: tuple[tuple[str, int], ...] = ()
    no_microvms: str = ""


UNKNOWN = Abilities()
