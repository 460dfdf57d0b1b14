"""A servicer of a test's own, at a gRPC server of its own."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc


@contextmanager
def served(servicer: object, address: str) -> Iterator[None]:
    """Within, it answers at that address for every generated servicer that its class is made from; what it does not
    say is UNIMPLEMENTED."""
    server = grpc.server(ThreadPoolExecutor(4))
    for base in type(servicer).__mro__:
        if add := getattr(sys.modules[base.__module__], f"add_{base.__name__}_to_server", None):
            add(servicer, server)
    server.add_insecure_port(address)
    server.start()
    try:
        yield
    finally:
        server.stop(None).wait()
