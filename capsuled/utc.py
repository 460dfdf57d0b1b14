"""Moments in words: of a machine whose zone nobody has set, and for whoever reads them elsewhere."""

import time


def utc_text(at_ns: int) -> str:
    """To the second. Raises OverflowError, ValueError or OSError for what no calendar has."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at_ns // 1_000_000_000))
