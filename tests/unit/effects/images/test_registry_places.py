"""The connections to one registry are few: who waits for one holds none that another waits for."""

import asyncio
from typing import Literal

import httpx
import pytest

from effects.errors import RegistryUnreachable
from effects.images import registry_host
from effects.images.registry import Access
from effects.images.registry_http import HttpRegistry
from tests.support.faulty import Fault, FaultyRegistry, faulty
from tests.support.images import Sample

CONNECTIONS = 16


class Gate(asyncio.Event):
    """`full` is set once as many answers wait here as there are connections."""

    def __init__(self) -> None:
        super().__init__()
        self.full = asyncio.Event()
        self._waiting = 0

    async def wait(self) -> Literal[True]:
        self._waiting += 1
        if self._waiting == CONNECTIONS:
            self.full.set()
        return await super().wait()


async def refused_at_once(server: FaultyRegistry, registry: HttpRegistry) -> list[str]:
    """As many questions as there are connections, all of which a token is needed for: what was found."""
    server.documents["/token"] = "application/json", b'{"token": "t"}'
    gate = Gate()
    bearer = f'Bearer realm="http://{server.host}/token"'
    server.fail("/manifests/", Fault(401, (("WWW-Authenticate", bearer),), gate=gate), times=CONNECTIONS)
    names = [f"app{number}" for number in range(CONNECTIONS)]
    refs = [server.hold(Sample(), f"{name}:1") for name in names]
    asking = [asyncio.create_task(registry.resolve(ref)) for ref in refs]
    await gate.full.wait()
    gate.set()
    return [pin.ref for pin in await asyncio.gather(*asking)]


def test_as_many_as_there_are_connections_may_need_a_token_at_once() -> None:
    async def main() -> None:
        async with asyncio.timeout(10), faulty() as server:
            registry = HttpRegistry(Access)
            try:
                assert len(await refused_at_once(server, registry)) == CONNECTIONS
            finally:
                await registry.close()

    asyncio.run(main())


def test_a_connection_that_never_gets_free_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert registry_host._TIMEOUT.pool is not None
    monkeypatch.setattr(registry_host, "_TIMEOUT", httpx.Timeout(10.0, pool=0.2))

    async def main() -> None:
        async with asyncio.timeout(10), faulty() as server:
            registry, gate = HttpRegistry(Access), Gate()
            ref = server.hold(Sample(), "web:1")
            try:
                await registry.resolve(ref)
                server.fail("/manifests/", Fault(gate=gate), times=CONNECTIONS)
                asking = [asyncio.create_task(registry.resolve(ref)) for _ in range(CONNECTIONS)]
                await gate.full.wait()
                with pytest.raises(RegistryUnreachable, match="as many questions under way there as it may"):
                    await registry.resolve(ref)
                gate.set()
                await asyncio.gather(*asking)
            finally:
                await registry.close()

    asyncio.run(main())
