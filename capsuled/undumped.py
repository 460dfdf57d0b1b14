"""Keeps this process out of core dumps: it holds secrets in clear for moments. What it starts may dump as usual."""

import contextlib
import ctypes
import os
import resource

CoreLimit = tuple[int, int]
"""Soft and hard, as resource has them."""

_PR_SET_DUMPABLE = 4


def keep_out_of_dumps() -> CoreLimit:
    """From here on this process leaves no core, and nobody without the right to everything may look into its memory.
    Returns the limit that it found. Raises OSError. Source: prctl(2), core(5)."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(0), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), "core dumps cannot be switched off")
    found = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, found[1]))
    return found


def let_dump(pid: int, limit: CoreLimit) -> None:
    """A process that this one started may dump as if another had."""
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_CORE, limit)
