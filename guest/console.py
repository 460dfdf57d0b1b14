"""What the agent has to say to people: lines on the serial console."""

import os

_CONSOLE = "/dev/console"
_TEXT_MAX = 1_024


def open_standard() -> None:
    """Descriptors 0 to 2 lead to the console, whatever the kernel has made of them; they stay, whatever is closed."""
    fd = os.open(_CONSOLE, os.O_RDWR | os.O_NOCTTY)
    for number in range(3):
        os.dup2(fd, number)
    if fd > 2:
        os.close(fd)


def fault(what: str) -> None:
    """One line that says what the agent could not stand."""
    text = "".join(sign if sign.isprintable() else " " for sign in what)[:_TEXT_MAX]
    try:
        os.write(2, f"capsule-guest: fault: {text}\n".encode())
    except OSError:
        pass  # nobody hears us, and what follows is done all the same


def described(error: BaseException) -> str:
    """An error, and where it was raised."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    where = f" ({last.tb_frame.f_code.co_filename.rpartition('/')[2]}:{last.tb_lineno})" if last is not None else ""
    return f"{type(error).__name__}: {error}{where}"
