"""Long output in a window: through the operator's pager, as git and journalctl do it. Elsewhere it is only printed."""

import os
import shutil
import sys
from collections.abc import Iterable
from itertools import chain, islice


def show_page(lines: Iterable[str]) -> None:
    """Print the lines; in a terminal, what does not fit goes through `$PAGER` (less). An empty one is none."""
    lines = iter(lines)
    if not (sys.stdout.isatty() and sys.stdin.isatty()) or os.environ.get("PAGER", "less") in ("", "cat"):
        for line in lines:
            print(line)
        return
    first = list(islice(lines, shutil.get_terminal_size().lines - 1))
    more = next(lines, None)
    if more is None:
        print("".join(f"{line}\n" for line in first), end="")
        return
    import pydoc

    # As git has it: colours stay, a short text stays on the screen, long lines are not folded.
    os.environ.setdefault("LESS", "FRSX")
    pydoc.pager("".join(f"{line}\n" for line in chain(first, [more], lines)))
