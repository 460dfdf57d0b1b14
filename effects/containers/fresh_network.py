"""A network that no run was in, for a container on the bridge: it is made while the rest of a start is prepared, as the
kernel takes some 20 ms to let go of the link that the run before had."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from effects.network.protocol import Link
from effects.runs.protocol import RunSpec

Renew = Callable[[Link], Awaitable[None]]
"""Makes the workload's link and namespace anew. Raises DriverError."""


@asynccontextmanager
async def renewed(renew: Renew | None, run: RunSpec) -> AsyncIterator[None]:
    """Within the block it is being made, behind it it is there. Nothing is done for who is not on the bridge, nor
    without `renew`. Raises DriverError."""
    if renew is None or run.network != "bridge":
        yield
        return
    renewing = asyncio.ensure_future(renew(Link(run.name, run.uid, run.address)))
    try:
        yield
    finally:
        await renewing
