"""A run's first process, held by a descriptor.

runc's own directory is below /run: it names each container's first process and when it began. Source: runc 1.1,
state.json of libcontainer.
"""

from pathlib import Path

import msgspec

from effects.alive import hold


class State(msgspec.Struct):
    """The part of state.json that is used here."""

    init_process_pid: int = 0
    init_process_start: int = 0


def first_process(directory: Path) -> tuple[int, int] | None:
    """A pidfd, which is the caller's to close, and the number; None if there is no such process. `directory` is what
    runc keeps of the container."""
    try:
        state = msgspec.json.decode((directory / "state.json").read_bytes(), type=State)
    except (OSError, msgspec.MsgspecError):
        return None
    process = hold(state.init_process_pid, state.init_process_start)
    return None if process is None else (process, state.init_process_pid)
