"""What the daemon can do at the moment, and why not more: shown by `capsule info`, and the reason of every refusal."""

from enum import StrEnum

import msgspec


class Condition(StrEnum):
    """`ok` acts. `frozen` meets entries of a newer release; `read-only` cannot write; `damaged` cannot trust."""

    OK = "ok"
    FROZEN = "frozen"
    READ_ONLY = "read-only"
    DAMAGED = "damaged"


class State(msgspec.Struct, frozen=True):
    """A condition and its reason in words."""

    condition: Condition = Condition.OK
    message: str = ""

    @property
    def acts(self) -> bool:
        """Whether anything may be changed, planned or started."""
        return self.condition is Condition.OK
