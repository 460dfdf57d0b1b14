"""Asking the operator: before what cannot be taken back, and for what nobody shall see. Off a terminal nobody can be
asked: an option must say it."""

import getpass
import sys

from capsulectl import standard_input
from capsulectl.errors import USAGE, Failure
from capsulectl.render import legible


def asks(yes: bool) -> bool:
    """Whether `confirm` would really ask somebody. Then it is looked first whether there is anything to ask about."""
    return not yes and sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, yes: bool, *, instead: str = "say `--yes` to do it without being asked") -> None:
    """Return when the operator says yes, or said so beforehand. Raises Failure otherwise; nothing was changed."""
    if yes:
        return
    if not asks(yes):
        raise Failure(f"nobody is there to ask: {instead}", USAGE)
    print(f"{legible(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    if standard_input.line().strip().lower() not in ("y", "yes"):
        raise Failure("nothing was changed")


def unseen(question: str) -> str:
    """What the operator types, without showing it. Raises Failure when that is no text."""
    try:
        return getpass.getpass(question)
    except (EOFError, UnicodeDecodeError) as error:
        print(file=sys.stderr)  # the line that was not ended
        said = "nothing was typed" if isinstance(error, EOFError) else "what was typed is no UTF-8"
        raise Failure(f"{said}: nothing was changed") from error
