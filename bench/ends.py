"""How a long run ends that is told to: as after an error, so that what it started is stopped."""

import signal
import sys


def tidily() -> None:
    """From now on Ctrl-C and SIGTERM leave by what every error leaves by, with the exit code of the signal."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda got, _: sys.exit(128 + got))
