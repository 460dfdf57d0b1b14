"""A run's first process, held by a descriptor.

runc's own directory is below /run: it names each container's first process and when it began, and has the annotations
of its spec. Source: runc 1.1, state.json of libcontainer.
"""

import signal
from pathlib import Path
from typing import NamedTuple

import msgspec

from effects.alive import hold
from effects.runs.names import STOP_SIGNAL


class Config(msgspec.Struct, frozen=True):
    """Of what runc was told. `labels` are the annotations, each as key=value, and a few words of its own."""

    labels: tuple[str, ...] | None = None


class State(msgspec.Struct):
    """The part of state.json that is used here."""

    init_process_pid: int = 0
    init_process_start: int = 0
    config: Config = Config()


class FirstProcess(NamedTuple):
    """`process` is a pidfd, and the caller's to close; `stop_signal` is what asks it to end."""

    process: int
    pid: int
    stop_signal: int


def first_process(directory: Path) -> FirstProcess | None:
    """None if there is no such process. `directory` is what runc keeps of the container."""
    try:
        state = msgspec.json.decode((directory / "state.json").read_bytes(), type=State)
    except (OSError, msgspec.MsgspecError):
        return None
    process = hold(state.init_process_pid, state.init_process_start)
    return None if process is None else FirstProcess(process, state.init_process_pid, _stop_signal(state.config))


def _stop_signal(config: Config) -> int:
    """Runs of earlier releases have none and are asked with TERM."""
    said = dict(label.partition("=")[::2] for label in config.labels or ()).get(STOP_SIGNAL, "")
    return int(said) if said.isdecimal() else signal.SIGTERM
