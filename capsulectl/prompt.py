"""Asking the operator before what cannot be taken back. Off a terminal nobody can be asked: an option must say it."""

import sys

from capsulectl.errors import USAGE, Failure


def confirm(question: str, yes: bool, *, instead: str = "say `--yes` to do it without being asked") -> None:
    """Return when the operator says yes, or said so beforehand. Raises Failure otherwise; nothing was changed."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Failure(f"nobody is there to ask: {instead}", USAGE)
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failure("nothing was changed")
