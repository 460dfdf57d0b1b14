"""Calls that nobody waits for any more."""

import asyncio
from typing import Any


def let_go(call: asyncio.Future[Any]) -> None:
    """End it. That it has failed meanwhile, as all do whose containerd dies, is no fault of the daemon's: asyncio would
    log a failure that nobody has asked for as one."""
    call.cancel()
    if call.done() and not call.cancelled():
        call.exception()
