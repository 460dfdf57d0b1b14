"""How PID 1 judges its daemon: when it starts it again, when it takes it for hung, when it falls back to rescue, and
whether the watchdog may be petted. Pure: every moment is handed in, in seconds of a clock that only runs forwards.
"""

START_S = 180.0
"""From a start to the first word, and between words of a start that comes on; on a slow machine Python alone takes a
while."""

SILENCE_S = 45.0
"""Between words of a daemon that answers every ten seconds."""

STABLE_S = 60.0
"""One that lived so long after it was ready worked; what ended it counts for itself."""

FIRST_DELAY_S, CAP_DELAY_S = 0.1, 30.0
RESCUE_AFTER = 5
"""Ends in a row after which the next daemon is started in rescue: read-only, so that the machine can be reached."""

GIVE_UP_AFTER = 15
"""Ends in a row, rescue among them, after which nobody pets the watchdog any more: a reset may still help."""


class Life:
    """Of one daemon after the other. `failures` counts those in a row that ended and should not have."""

    def __init__(self) -> None:
        self.failures = 0
        self._ready_at: float | None = None
        self._patient_until = 0.0
        self._runs = False

    def starts(self, now: float) -> bool:
        """A daemon is started now; returns whether in rescue. One that failed in rescue, too, is tried as usual again:
        what was wrong may have gone."""
        self._runs, self._ready_at = True, None
        self._patient_until = now + START_S
        return self.failures >= RESCUE_AFTER and self.failures % 2 == RESCUE_AFTER % 2

    def hears(self, now: float, word: str, number: int) -> None:
        """It said something."""
        if word == "wait":
            self._patient_until = now + number
            return
        if word == "ready":
            self._ready_at = now
        if word in ("alive", "ready"):
            self._patient_until = now + SILENCE_S

    def ends(self, now: float) -> float:
        """It ended, and nobody wanted that. Returns after how many seconds the next one starts."""
        self._runs = False
        worked = self._ready_at is not None and now - self._ready_at >= STABLE_S
        self.failures = 1 if worked else self.failures + 1
        return self.delay_s

    def ends_as_asked(self) -> None:
        """It was told to end: that is no failure."""
        self._runs = False
        self.failures = 0

    @property
    def delay_s(self) -> float:
        """The back-off after as many failures."""
        return min(FIRST_DELAY_S * 2.0 ** min(self.failures - 1, 20), CAP_DELAY_S)

    def hung_at(self) -> float | None:
        """When the daemon that runs counts as hung, if nothing is heard until then; None while none runs."""
        return self._patient_until if self._runs else None

    def may_pet(self, now: float) -> bool:
        """Whether the machine does what it is for, or is just being brought to do so."""
        if self.failures >= GIVE_UP_AFTER:
            return False
        return not self._runs or now < self._patient_until
