"""Something that is done around the import of certain modules, whoever imports them."""

import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

Around = Callable[[str], AbstractContextManager[None] | None]
"""For the module of a name: what is entered while it is loaded; None for one that is let alone."""


def surround(around: Around) -> None:
    """From here on."""
    sys.meta_path.insert(0, _Finder(around))


class _Finder:
    """Leaves the finding to the usual finder."""

    def __init__(self, around: Around) -> None:
        self._around = around

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> Any:
        """See importlib.abc.MetaPathFinder."""
        inside = self._around(name)
        if inside is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, inside)  # type: ignore[assignment]
        return spec


class _Loader:
    """Loads as the usual loader does."""

    def __init__(self, loader: Any, inside: AbstractContextManager[None]) -> None:
        self._loader = loader
        self._inside = inside

    def create_module(self, spec: Any) -> Any:
        """See importlib.abc.Loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """See importlib.abc.Loader."""
        with self._inside:
            self._loader.exec_module(module)
