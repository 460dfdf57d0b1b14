"""Looks at the world that must succeed once: what the world told will not be told again."""

import logging
from collections.abc import Awaitable, Callable

from effects.errors import DriverError
from effects.runner import FULL_RETRY_S
from journal.clock import Clock
from journal.errors import JournalFull

log = logging.getLogger(__name__)

FIRST_RETRY_S = 0.5
CAP_S = 5.0


async def until_seen(look: Callable[[], Awaitable[None]], clock: Clock, what: str) -> None:
    """Look, compare and journal until it succeeds. `what` names the part of the world, as the subject of a sentence.

    A driver that cannot look, a file that cannot be read and a full disk are waited out, and told: none of them is a
    reason to take the rest of the machine down.
    """
    wait_s = FIRST_RETRY_S
    told_full = False
    while True:
        try:
            await look()
            return
        except (DriverError, OSError) as error:
            log.warning("%s cannot be observed: %s", what, error)
            await clock.sleep(wait_s)
            wait_s = min(2 * wait_s, CAP_S)
        except JournalFull as full:
            if not told_full:  # it may be so for days
                log.warning("what %s shows cannot be journaled yet: %s", what, full)
            told_full = True
            await clock.sleep(FULL_RETRY_S)
