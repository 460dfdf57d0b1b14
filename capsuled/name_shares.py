"""Whose question goes on: how much each of those that are served may have under way, and how the rest waits.

A program that looks up hundreds of names at once is nothing out of the way, and what its C library hears of a server
that is busy it takes for the name's fault. So a question beyond the share stands in a line instead, and the peers that
wait take turns. What finds no place there, or stood too long, is dropped without a word: the client's own clock asks
again. Nothing here reads a clock or a socket.
"""

from collections import Counter, deque

import msgspec

Peer = tuple[str, int]

WAITING = 2_048
WAITING_EACH = WAITING // 4
"""Questions that stand in the line at a time, and of one peer's."""

WAITING_BYTES = 4_096
"""Of a question that may stand there; a longer one is padded without measure."""

WAITING_S = 4.0
"""A client's clock asks again after 5 seconds (resolv.conf(5), `timeout`): what is older would be asked twice."""


class Share:
    """How much is under way, `all_together` at most and `each` of one peer's."""

    def __init__(self, all_together: int, each: int) -> None:
        self._all_together = all_together
        self._each = each
        self._under_way: Counter[str] = Counter()

    def take(self, host: str) -> bool:
        """Whether there is room for one more of this peer's, which is under way from now on."""
        if self._under_way[host] >= self._each or self._under_way.total() >= self._all_together:
            return False
        self._under_way[host] += 1
        return True

    def leave(self, host: str) -> None:
        """One of the peer's has ended; who has none is not counted any more."""
        self._under_way[host] -= 1
        if not self._under_way[host]:
            del self._under_way[host]


class Waiting(msgspec.Struct, frozen=True):
    """A question in the line; it is dropped at `until_s` of the caller's clock."""

    question: bytes
    peer: Peer
    until_s: float


class Line:
    """Questions by UDP: some are under way, some wait for that."""

    def __init__(self, all_together: int, each: int) -> None:
        self._share = Share(all_together, each)
        self._waiting: dict[str, deque[Waiting]] = {}
        self._length = 0

    def comes(self, question: bytes, peer: Peer, now_s: float) -> bool:
        """Whether it goes on at once. Else it waits, where there is room for it."""
        if self._share.take(peer[0]):
            return True
        mine = self._waiting.get(peer[0], deque())
        if len(mine) < WAITING_EACH and self._length < WAITING and len(question) <= WAITING_BYTES:
            self._waiting[peer[0]] = mine
            mine.append(Waiting(question, peer, now_s + WAITING_S))
            self._length += 1
        return False

    def ended(self, host: str, now_s: float) -> Waiting | None:
        """One of the peer's has ended: the question that goes on in its place, if one may."""
        self._share.leave(host)
        for each, mine in tuple(self._waiting.items()):
            while mine and mine[0].until_s <= now_s:
                mine.popleft()
                self._length -= 1
            if mine and not self._share.take(each):
                continue
            del self._waiting[each]
            if mine:
                first = mine.popleft()
                self._length -= 1
                if mine:
                    self._waiting[each] = mine  # behind the others: they take turns
                return first
        return None

    def clear(self) -> None:
        """Nobody waits any more; what is under way is."""
        self._waiting.clear()
        self._length = 0
