"""Keeps out what gRPC and protobuf bring along and this program never uses: nearly half of its start-up time.

gRPC's package imports its asyncio half, and its extension the whole of asyncio and inspect for it; protobuf's compiled
half imports the one in Python that it stands in for. While these packages are imported, empty modules stand in those
places; afterwards the places are free again, so that whoever does need asyncio imports the real one.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType
from typing import Any

from capsulectl.importing import surround

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
        surround(_around)


def _around(name: str) -> AbstractContextManager[None] | None:
    """For the packages above only, each once."""
    return _among_empty(LEFT_OUT[name]) if name in LEFT_OUT and name not in sys.modules and _may(name) else None


@contextmanager
def _among_empty(left_out: Iterable[str]) -> Iterator[None]:
    absent = [name for name in left_out if name not in sys.modules]
    for name in absent:
        sys.modules[name] = _Empty(name)
    try:
        yield
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
