"""A line that shows how far something is: on a terminal only, and gone when it is done."""

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from capsulectl.render import printable
from projections.words import bytes_text

REDRAW_S = 0.1
BAR_CHARS = 24
_KEPT_CHARS = 12
"""So much of a name stays while anything else can go."""

Show = Callable[[str, int, int, str], None]
"""(what, bytes done, bytes in all or 0, words about the step)"""


@contextmanager
def bar(quiet: bool = False, drawn: Callable[[str, int, int, str], str] | None = None) -> Iterator[Show]:
    """What is shown in the block is drawn over and over in one line of standard error; off a terminal, nothing is. On
    one that has gone, what is being done goes on. `drawn`: other words than those for bytes."""
    stream = sys.stderr
    if quiet or not stream.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda what, done, total, words: None
        return
    drawn_s = 0.0

    def write(text: str) -> None:
        with contextlib.suppress(OSError):
            stream.write(text)
            stream.flush()

    def show(what: str, done: int, total: int, words: str) -> None:
        nonlocal drawn_s
        now = time.monotonic()
        if now - drawn_s >= REDRAW_S or done == total:
            drawn_s = now
            width = shutil.get_terminal_size().columns - 1
            text = drawn(what, done, total, words) if drawn else line(what, done, total, words, width)
            write(f"\r\x1b[K{printable(text)[:width]}")

    try:
        yield show
    finally:
        write("\r\x1b[K")


def line(what: str, done: int, total: int, words: str, width: int) -> str:
    """One state of the bar. Where it is wider than the window, its name is cut first, down to its end, where a path is
    most telling; then the bar goes, then the words: how far it is stays."""
    amount = f"{bytes_text(done)} of {bytes_text(total)}" if total else bytes_text(done) if done else ""
    drawn = f"{filled(done, total)} {amount}" if total else amount
    parts = ((drawn, words), (amount, words), (amount,))
    rests = ["".join(f"  {part}" for part in some if part) for some in parts]
    least = min(len(what), _KEPT_CHARS)
    rest = next((one for one in rests if least + len(one) <= width), rests[-1])
    return (_end(what, width - len(rest)) + rest).lstrip()


def _end(text: str, room: int) -> str:
    return text if len(text) <= room else f"…{text[len(text) - room + 1 :]}" if room > 1 else ""


def filled(done: int, total: int) -> str:
    """The bar itself."""
    marks = BAR_CHARS * min(done, total) // total
    return f"[{'#' * marks}{'-' * (BAR_CHARS - marks)}]"
