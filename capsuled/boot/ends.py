"""How former daemons of this boot ended, as PID 1 wrote it down (init/records.py), as events.

Of a traceback the places and the kind of the error are kept. Its message is not: nobody knows what is in it, and the
journal keeps no secrets. The daemon's log of that boot has all of it.
"""

import re
import signal
from pathlib import Path

from init.records import DIRECTORY as NOTED
from journal.events import DaemonCrashed

DIRECTORY = Path(NOTED)
FRAMES = 20
_PYTHON_FRAME = re.compile(r'^ {2}File "([^"]+)", line (\d+), in (\S+)')
_FAULT_FRAME = re.compile(r'^ {2}File "([^"]+)", line (\d+) in (\S+)')
_ERROR = re.compile(r"^((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)(?::|$)")
_HOUSE = "/capsule/house/"


def crashes(directory: Path = DIRECTORY) -> tuple[DaemonCrashed, ...]:
    """All that were noted, the oldest first. What is no record says nothing."""
    found = []
    for file in sorted(directory.glob("[0-9]*")) if directory.is_dir() else ():
        head, _, said = file.read_bytes().partition(b"\n")
        fields = head.decode("ascii", "replace").split(" ", 2)
        if len(fields) == 3 and fields[0].isdecimal() and fields[1].isdecimal():
            trace, error = traceback_of(said.decode("utf-8", "replace"))
            found.append(DaemonCrashed(how_text(fields[2]), int(fields[1]), int(fields[0]), trace, error))
    return tuple(found)


def forget(directory: Path = DIRECTORY) -> None:
    """They are in the journal."""
    for file in directory.glob("[0-9]*") if directory.is_dir() else ():
        file.unlink(missing_ok=True)


def traceback_of(said: str) -> tuple[tuple[str, ...], str]:
    """The last traceback in what was written to standard error: its frames, the innermost last, and the error's kind.
    Pure."""
    frames: list[str] = []
    error = ""
    fault = False
    for line in said.splitlines():
        if line.startswith("Traceback (most recent call last)"):
            frames, error, fault = [], "", False
        elif line.startswith(("Fatal Python error", "Current thread")):
            frames, error, fault = [], "", True
        frame = (_FAULT_FRAME if fault else _PYTHON_FRAME).match(line)
        if frame is not None:
            place, number, function = frame.groups()
            frames.append(f"{place.removeprefix(_HOUSE)}:{number} {function}")
        elif frames and not fault and not error and (kind := _ERROR.match(line)):
            error = kind.group(1)
    return tuple((frames[::-1] if fault else frames)[-FRAMES:]), error


def how_text(text: str) -> str:
    """How it ended, as PID 1 noted it: a signal by its name. Pure."""
    word, _, number = text.partition(" ")
    if word == "signal" and number.isdecimal():
        try:
            return signal.Signals(int(number)).name
        except ValueError:
            return text
    return text
