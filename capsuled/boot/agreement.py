"""Whether servers are right that contradict a clock which another one had set.

A machine that stood still, as a VM that was paused or is back at its snapshot, is behind from then on, and all servers
tell it by how much, again and again. One whose clock is right hears that from a server that is wrong, and others agree
with it. So servers are right where, with nobody on the clock's side, most of them say the same: two at once, or the
only one for a while.
"""

from collections.abc import Mapping

APART_S = 5.0
"""What servers that tell the same time may differ by, each asked in its turn."""

ROUNDS = 5
"""So often, in a row, one alone has to say it: a minute at the least, by ntp.py's pauses."""


class Agreement:
    """Of one disagreement: from the first round in which no server agreed with the clock."""

    def __init__(self) -> None:
        self._offset_s = 0.0
        self._rounds = 0

    def heard(self, told: Mapping[str, float]) -> str:
        """After a round in which nobody agreed: by how many seconds the clock is behind, as each server that answered
        tells. Whom to believe, else empty. A round in which nobody answered says nothing."""
        if not told:
            return ""
        server, count = _most(told)
        if 2 * count <= len(told):
            self._rounds = 0
            return ""
        is_same = abs(told[server] - self._offset_s) <= APART_S
        self._offset_s, self._rounds = told[server], self._rounds + 1 if is_same else 1
        return server if count > 1 or self._rounds >= ROUNDS else ""


def _most(told: Mapping[str, float]) -> tuple[str, int]:
    """The first server that most say the same as, and how many these are, itself among them."""

    def alike(server: str) -> int:
        return sum(abs(told[server] - offset_s) <= APART_S for offset_s in told.values())

    server = max(told, key=alike)
    return server, alike(server)
