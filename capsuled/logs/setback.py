"""What comes of a log that cannot be cut: it is told once, and tried again now and then. Its growth is what asks for a
cut, and the daemon's own log grows by what is told of it."""

import logging
import time
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

PAUSE_S: Final = 60.0


class Setback:
    """Of one log; `what` names it, and `now` counts seconds."""

    def __init__(self, what: str, now: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._now = now
        self._failed_at: float | None = None

    def is_over(self) -> bool:
        """Whether a cut may be tried."""
        return self._failed_at is None or self._now() - self._failed_at >= PAUSE_S

    def failed(self, error: OSError) -> None:
        """A cut did."""
        if self._failed_at is None:
            log.warning("%s could not be cut: %s", self._what, error.strerror)
        self._failed_at = self._now()

    def mended(self) -> None:
        """A cut did not fail."""
        self._failed_at = None
