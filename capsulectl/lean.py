"""Keeps out what gRPC and protobuf bring along and this program never uses: nearly half of its start-up time.

gRPC's package imports its asyncio half, and its extension the whole of asyncio and inspect for it; protobuf's compiled
half imports the one in Python that it stands in for. While these packages are imported, empty modules stand in those
places; afterwards the places are free again, so that whoever does need asyncio imports the real one.
"""

import importlib.machinery
import os
import sys
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

_IN_PYTHON = ("google.protobuf.internal.python_message",)
LEFT_OUT = {
    "grpc": ("asyncio", "grpc.aio", "inspect"),
    "google.protobuf.descriptor_pool": _IN_PYTHON,
    "google.protobuf.internal.builder": _IN_PYTHON,
}
"""While the key is imported, these are empty."""


def install() -> None:
    """From here on. `CAPSULE_WHOLE_IMPORTS=1` switches it off."""
    if not os.environ.get("CAPSULE_WHOLE_IMPORTS"):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Answers only for the packages above, each once, and leaves the finding to the usual finder."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> Any:
        """See importlib.abc.MetaPathFinder."""
        if name not in LEFT_OUT or name in sys.modules or not _may(name):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, LEFT_OUT[name])  # type: ignore[assignment]
        return spec


class _Loader:
    """Loads as the usual loader does, among empty modules."""

    def __init__(self, loader: Any, left_out: Iterable[str]) -> None:
        self._loader = loader
        self._left_out = left_out

    def create_module(self, spec: Any) -> Any:
        """See importlib.abc.Loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """See importlib.abc.Loader."""
        absent = [name for name in self._left_out if name not in sys.modules]
        for name in absent:
            sys.modules[name] = _Empty(name)
        try:
            self._loader.exec_module(module)
        finally:
            for name in absent:
                sys.modules.pop(name, None)


class _Anything:
    """What an empty module has under every name: a class that can be derived from and raised, and does nothing."""


class _Empty(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything


def _may(name: str) -> bool:
    """protobuf's Python half can be left out only where the compiled one is in use."""
    if LEFT_OUT[name] is not _IN_PYTHON:
        return True
    from google.protobuf.internal import api_implementation

    return bool(api_implementation.Type() == "upb")
