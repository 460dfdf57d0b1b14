"""Long output in a window: through the operator's pager, as git and journalctl do it. Elsewhere it is only printed."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from itertools import chain, islice
from typing import Any

_PAGERS = ("less", "more")


def show_page(lines: Iterable[str], ahead: Callable[[], None] = lambda: None) -> None:
    """Print the lines; in a terminal, what does not fit goes through `$PAGER` (less), as it comes once it is more than
    a window's. An empty one is none. `ahead`: what else may have to be said is said by this, before the first line is
    asked for, where a pager may have the terminal at their end."""
    lines = iter(lines)
    pager = _pager() if sys.stdout.isatty() and sys.stdin.isatty() else ""
    if not pager:
        for line in lines:
            print(line)
        return
    ahead()
    first = list(islice(lines, shutil.get_terminal_size().lines - 1))
    more = next(lines, None)
    if more is None:
        print("".join(f"{line}\n" for line in first), end="")
        return
    _feed(pager, chain(first, [more], lines))


def _pager() -> str:
    """The shell's words for it; empty for none."""
    asked = os.environ.get("PAGER")
    if asked in ("", "cat"):
        return ""
    if found := os.environ.get("MANPAGER") or asked:
        return found
    if os.environ.get("TERM") in ("dumb", "emacs"):
        return ""
    return next(filter(shutil.which, _PAGERS), "")


def _feed(pager: str, lines: Iterable[str]) -> None:
    """Whoever leaves it, or interrupts what comes, has seen enough; the pager has the terminal to its own end."""
    import subprocess  # for who has a pager only

    # As git has it: colours stay, a short text stays on the screen, long lines are not folded.
    os.environ.setdefault("LESS", "FRSX")
    made = subprocess.Popen(pager, shell=True, stdin=subprocess.PIPE, text=True, errors="backslashreplace")
    assert made.stdin is not None
    try:
        for line in lines:
            made.stdin.write(f"{line}\n")
            made.stdin.flush()
    except (BrokenPipeError, KeyboardInterrupt):
        pass
    finally:
        _await(made)


def _await(made: Any) -> None:
    """What a Ctrl-C means is the pager's to say, while it lives."""
    while True:
        try:
            made.communicate()
        except KeyboardInterrupt:
            continue
        return
