"""What of a sparse file is there: where its data stand, by what its file system says."""

import errno
import os

_SEGMENTS_MAX = 4_096


def segments(fd: int, size: int) -> list[tuple[int, int]] | None:
    """What of a sparse file is no hole, ascending, ended by its size; None where the file system cannot tell, or there
    is no hole after all. Of many small parts the last one takes in what is behind it, holes and all."""
    found: list[tuple[int, int]] = []
    end = 0
    try:
        while end < size:
            try:
                begin = os.lseek(fd, end, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    return None
                break
            if begin >= size:
                break
            end = min(os.lseek(fd, begin, os.SEEK_HOLE), size)
            if len(found) == _SEGMENTS_MAX:
                end = size
            found.append((begin, end - begin))
    finally:
        os.lseek(fd, 0, os.SEEK_SET)
    if found == [(0, size)]:
        return None
    return found if found and sum(found[-1]) == size else [*found, (size, 0)]
