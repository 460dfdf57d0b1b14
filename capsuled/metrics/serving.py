"""The endpoint, put together from the house."""

import asyncio
import logging
from ipaddress import ip_address

from capsuled.front import House, head_of
from capsuled.journal_room import room_of
from capsuled.metrics.facts import Facts, Gatherer
from capsuled.metrics.server import PATH, MetricsServer

log = logging.getLogger(__name__)


async def serve_metrics(house: House, address: str) -> MetricsServer:
    """Serve from now on. Raises CannotListen."""
    gatherer = Gatherer(
        house.engine,
        house.sampler,
        house.volumes,
        house.about,
        house.layout.journal,
        head_of(house.memory),
        room_of(house.memory),
        readable=house.memory.unknown is None,
    )

    async def render() -> bytes:
        return await asyncio.to_thread(_written, await gatherer.gather())

    server = MetricsServer(render)
    house.about.metrics = f"http://{await server.start(address)}{PATH}"
    log.info("figures for Prometheus at %s", house.about.metrics)
    if not _is_loopback(address):
        log.warning("%s asks nobody for a key: whoever reaches it can read the figures", house.about.metrics)
    return server


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
