"""Tokens that were used already, in bounded memory.

A key's tokens are remembered until they would be too old anyway. When there are too many, those that expire first are
forgotten and a floor is raised to their expiry: below it nothing is taken any more, seen or not. So forgetting never
lets a repeat in; at worst a client whose clock runs far behind a very busy one of the same key has to set it right.
The floor also holds what was forgotten by age, so that a wall clock that is set back lets nothing in either.
"""

from collections.abc import Iterable

from capsuled.tokens import SKEW_S

TOKENS_MAX = 20_000
"""For each key."""

_KEYS = 256
"""So many keys are remembered before those whose tokens are all too old are let go."""


class _Used:
    """One key's tokens: by name, and by the second in which they expire."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.by_expiry: dict[int, list[str]] = {}
        self.floor = 0

    def forget(self, expiry: int) -> None:
        self.names.difference_update(self.by_expiry.pop(expiry))
        self.floor = max(self.floor, expiry)


class ReplayGuard:
    """Takes each token once."""

    def __init__(self, tokens_max: int = TOKENS_MAX) -> None:
        self._max = tokens_max
        self._keys: dict[str, _Used] = {}
        self._floor = 0

    def take(self, kid: str, jti: str, expiry: int, now_s: float) -> bool:
        """Note a token that is otherwise good; False if it was taken before, or may have been."""
        used = self._of(kid, now_s)
        self._tidy(used, now_s)
        if jti in used.names or expiry <= used.floor:
            return False
        used.names.add(jti)
        used.by_expiry.setdefault(expiry, []).append(jti)
        return True

    def _of(self, kid: str, now_s: float) -> _Used:
        used = self._keys.get(kid)
        if used is None:
            self._let_go(now_s)
            used = self._keys[kid] = _Used()
            used.floor = self._floor
        return used

    def _tidy(self, used: _Used, now_s: float) -> None:
        """Forget what is too old, then what is too much. Tokens expire about in the order they come, so few are met."""
        while used.by_expiry:
            oldest = next(iter(used.by_expiry))
            if oldest + SKEW_S >= now_s:
                break
            used.forget(oldest)
        while len(used.names) >= self._max:
            used.forget(min(used.by_expiry))

    def _let_go(self, now_s: float) -> None:
        """Keys come and go; what was used with one that went must stay known for as long as its tokens are good. One
        whose floor is not past yet stays: it is no other key's."""
        if len(self._keys) < _KEYS:
            return
        for kid, used in list(self._keys.items()):
            self._tidy(used, now_s)
            if not used.names and used.floor + SKEW_S < now_s:
                self._floor = max(self._floor, used.floor)
                del self._keys[kid]

    def remember(self, found: Iterable[tuple[str, str, int]], now_s: float) -> None:
        """Take over what an earlier life of the daemon took: (kid, jti, expiry). Without a name it may be any of the
        key's that expires until then, and none of them is taken any more."""
        for kid, jti, expiry in found:
            if expiry + SKEW_S < now_s:
                continue
            if jti:
                self.take(kid, jti, expiry, now_s)
            else:
                used = self._of(kid, now_s)
                used.floor = max(used.floor, expiry)

    def __len__(self) -> int:
        return sum(len(used.names) for used in self._keys.values())
