"""Generated code is imported whole: protobuf's extension does not survive a Ctrl-C in the midst of making a message's
class (SIGSEGV). One that comes meanwhile is raised behind it.
"""

import importlib.machinery
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType, ModuleType
from typing import Any

_GENERATED = "_pb2"


def install() -> None:
    """From here on."""
    sys.meta_path.insert(0, _Finder())


class _Finder:
    """Answers for generated modules only, and leaves the finding to the usual finder."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> Any:
        """See importlib.abc.MetaPathFinder."""
        if not name.endswith(_GENERATED):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


class _Loader:
    """Loads as the usual loader does, unbroken."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: Any) -> Any:
        """See importlib.abc.Loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """See importlib.abc.Loader."""
        interrupted = []

        def note(number: int, frame: FrameType | None) -> None:
            interrupted.append(number)

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler and _is_main():
            signal.signal(signal.SIGINT, note)
            try:
                self._loader.exec_module(module)
            finally:
                signal.signal(signal.SIGINT, signal.default_int_handler)
        else:  # nothing is raised in it, or whoever imports it is shielded
            self._loader.exec_module(module)
        if interrupted:
            raise KeyboardInterrupt


def _is_main() -> bool:
    """Of threads, it alone may say what signals do, and meets what they raise."""
    return threading.current_thread() is threading.main_thread()
