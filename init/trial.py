"""The trial of a new system, as PID 1 sees it: pure, times are handed in.

The boot loader says on the kernel's command line that this boot is one (`capsule.update=UID`), and for how long
(`capsule.window=SECONDS`, since the kernel began). The daemon judges its own system and starts the machine anew when it
is no good; this here is for one that cannot. Whatever ends this boot leads back to the old system.
"""

from init.life import RESCUE_AFTER

GRACE_S = 60.0
"""For the daemon to end it first: it can say why."""

DEFAULT_WINDOW_S = 900


class Trial:
    """`runs` until the daemon says that the system is confirmed; never, where it is no trial."""

    def __init__(self, command_line: str = "") -> None:
        words = dict(word.partition("=")[::2] for word in command_line.split())
        window = words.get("capsule.window", "")
        self.update = words.get("capsule.update", "")
        self.runs = bool(self.update)
        self.ends_at = (int(window) if window.isdecimal() else DEFAULT_WINDOW_S) + GRACE_S

    def hears(self, word: str) -> None:
        """The daemon said something."""
        if word == "confirmed":
            self.runs = False

    def over(self, now: float, failures: int) -> str:
        """Why it is to end now, by the word for it; empty while it may go on. `now` is the time since the kernel began,
        `failures` are the daemon's ends in a row: a new system that cannot keep it running is none."""
        if not self.runs:
            return ""
        if failures >= RESCUE_AFTER:
            return "daemon-crashes"
        return "window-over" if now >= self.ends_at else ""
