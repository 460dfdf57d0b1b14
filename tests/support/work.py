"""How much work something is: counted, as time says more of the machine than of what runs on it."""

import sys
from collections.abc import Callable


def looked_at(step: Callable[[], object]) -> int:
    """How many bytes the methods of bytes were called on: whoever looks at the whole once for every part of it has the
    square of its size."""
    total = 0

    def called(frame: object, event: str, function: object) -> None:
        nonlocal total
        whole = getattr(function, "__self__", None)
        if event == "c_call" and isinstance(whole, (bytes, bytearray)):
            total += len(whole)

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        step()
    finally:
        sys.setprofile(before)
    return total
