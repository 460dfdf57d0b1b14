"""What the daemon says to PID 1: lines of ASCII on a pipe, each a word and at most one number.

alive       the API has just answered
ready       everything is up: what ends from now on was a daemon that worked
wait N      nothing will be heard for N seconds at most (a long file system check; said again and again by a long fold
            that comes on); a later word takes that back
watchdog    the watchdog's driver is loaded
poweroff    switch the machine off, in order
reboot      the same, and on again
lost        there is no state to start on: a new system on trial is given up
confirmed   the system that runs is here to stay: its trial is over
"""

WORDS = ("alive", "ready", "wait", "watchdog", "poweroff", "reboot", "lost", "confirmed")
LONGEST_WAIT_S = 3600
_LINE_BYTES = 64


class Listener:
    """Takes the pipe's bytes apart; what is no word is dropped."""

    def __init__(self) -> None:
        self._rest = b""

    def heard(self, data: bytes) -> list[tuple[str, int]]:
        """The words that are complete now, each with its number (0 without one)."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-_LINE_BYTES:]
        return [word for word in map(_parsed, lines) if word is not None]


def _parsed(line: bytes) -> tuple[str, int] | None:
    word, _, number = line.decode("ascii", "replace").partition(" ")
    if word not in WORDS or (number and not number.isdecimal()):
        return None
    return word, min(int(number or 0), LONGEST_WAIT_S)
