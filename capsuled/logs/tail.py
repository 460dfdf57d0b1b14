"""Where the last lines of a file begin."""

import os

from capsuled.logs.holes import first_line

_BLOCK = 64 << 10


def tail_offset(fd: int, end: int, lines: int) -> int:
    """Where the last `lines` lines before `end` begin, or the first that is whole. A last line without newline is a
    line."""
    wanted = lines
    if end and os.pread(fd, 1, end - 1) != b"\n":
        wanted -= 1
    return count_back(fd, first_line(fd), end, wanted)[1]


def count_back(fd: int, low: int, end: int, wanted: int) -> tuple[int, int]:
    """Newlines from `end` back to `low`: how many, and where the search ended.

    It ends at `low`, or right behind the newline that is one more than wanted.
    """
    found = 0
    while end > low:
        start = max(low, end - _BLOCK)
        block = os.pread(fd, end - start, start)
        count = block.count(b"\n")
        if found + count > wanted:
            at = len(block)
            for _ in range(wanted - found + 1):
                at = block.rindex(b"\n", 0, at)
            return wanted + 1, start + at + 1
        found += count
        end = start
    return found, low
