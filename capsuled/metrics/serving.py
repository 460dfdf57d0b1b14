"""The endpoint, put together from the house."""

import asyncio
import logging
from ipaddress import ip_address

from capsuled.front import House, head_of
from capsuled.journal_room import room_of
from capsuled.metrics.facts import Facts, Gatherer
from capsuled.metrics.server import PATH, MetricsServer

log = logging.getLogger(__name__)


class Endpoint:
    """Counts what is journaled from now on, and serves once it is started."""

    def __init__(self, house: House) -> None:
        self._about = house.about
        self._gatherer = Gatherer(
            house.engine,
            house.sampler,
            house.volumes,
            house.about,
            house.layout.journal,
            head_of(house.memory),
            room_of(house.memory),
            readable=house.memory.unknown is None,
        )
        self._server = MetricsServer(self._render)

    async def start(self, address: str, chosen: str = "with --metrics") -> None:
        """Serve from now on; `chosen` says where another address would be. Raises CannotListen, and may be called
        again."""
        self._about.metrics = f"http://{await self._server.start(address, chosen)}{PATH}"
        log.info("figures for Prometheus at %s", self._about.metrics)
        if not _is_loopback(address):
            log.warning("%s asks nobody for a key: whoever reaches it can read the figures", self._about.metrics)

    async def stop(self) -> None:
        """Nobody is served any more, and nobody waited for."""
        await self._server.stop()

    async def _render(self) -> bytes:
        return await asyncio.to_thread(_written, await self._gatherer.gather())


def _written(facts: Facts) -> bytes:
    """On a thread: the library takes a moment to load, and the page one to write."""
    from capsuled.metrics.exposition import page

    return page(facts)


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
