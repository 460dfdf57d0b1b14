"""The installer's servers: InstallService and the health service, on TLS for whoever installs, and on a socket for the
question whether anybody answers. There is no key yet, so nobody proves anything.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc_health.v1 import health_pb2_grpc

from capsule.v1 import install_pb2_grpc
from capsuled.addresses import OS_LISTEN, Listen
from capsuled.installer.service import InstallService
from capsuled.layout import Layout
from capsuled.limits import Limits
from capsuled.listening import bind_socket, bind_tls, local_server, network_server
from capsuled.methods import Methods
from capsuled.services.health import HealthService
from capsuled.tls import Certificate


class Open(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """A door that lets everybody in."""

    def __init__(self, methods: Methods) -> None:
        self._methods = methods

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """See grpc."""
        return self._methods.of(handler_call_details.method)


@asynccontextmanager
async def serving(
    service: InstallService,
    layout: Layout,
    certificate: Certificate,
    warn: Callable[[str], None],
    listen: Listen = OS_LISTEN,
) -> AsyncIterator[tuple[str, ...]]:
    """Serve inside; gives the addresses. Raises CannotListen."""
    methods, health = Methods(), HealthService()
    install_pb2_grpc.add_InstallServiceServicer_to_server(service, methods)
    health_pb2_grpc.add_HealthServicer_to_server(health, methods)
    network, local = network_server(Open(methods), Limits()), local_server(Open(methods), Limits())
    addresses = bind_tls(network, listen, certificate, warn)
    bind_socket(local, layout.served, layout.socket)
    await network.start()
    await local.start()
    try:
        yield addresses
    finally:
        health.stop()
        await network.stop(None)
        await local.stop(None)
