"""The services that a package of stubs defines."""

import importlib
import pkgutil
from types import ModuleType


def services(package: ModuleType) -> tuple[str, ...]:
    """Full names, from every `_pb2` module."""
    found: list[str] = []
    for one in pkgutil.iter_modules(package.__path__):
        if one.name.endswith("_pb2"):
            module = importlib.import_module(f"{package.__name__}.{one.name}")
            found += [service.full_name for service in module.DESCRIPTOR.services_by_name.values()]
    return tuple(found)
