"""All methods of all services in one table, from which the doorkeeper takes the handler of each call.

Generated code tells a server its methods twice: one by one ("registered") and as something to be asked ("generic").
Registered ones each have a task that waits for their next call, and gRPC's loop looks through all of these at every
call: with sixty methods that takes as long as admitting a call does. So here the server is told of none.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Adds = Callable[[Any, Any], None]
"""A generated `add_XServicer_to_server`."""


class Methods:
    """To generated code, a server."""

    def __init__(self) -> None:
        self._handlers: dict[str, Any] = {}

    def of(self, path: str) -> Any:
        """The handler of a call to `/PACKAGE.Service/Method`; None for what nobody serves."""
        return self._handlers.get(path)

    def also(self, service: str, other: str) -> None:
        """Serve what the service `other` has as `service`, too: their messages are the same ones."""
        begin = f"/{other}/"
        found = {path.removeprefix(begin): one for path, one in self._handlers.items() if path.startswith(begin)}
        self.add_registered_method_handlers(service, found)

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """A service's methods, by name."""
        self._handlers.update({f"/{service}/{method}": handler for method, handler in handlers.items()})

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """The same once more: those that are told one by one are all there are."""
