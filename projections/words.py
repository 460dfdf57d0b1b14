"""Numbers in words, for messages: sizes, exit codes, how a run ended. Pure."""

from typing import Protocol

from journal.specs import Fault, Kind
from projections.linux import signal_name

KINDS: dict[Kind, str] = {"container": "container", "microvm": "microVM"}
"""The kinds of workload as operators call them."""
WRITTEN: dict[Kind, str] = {"container": "Container", "microvm": "MicroVM"}
"""And as manifests have them."""
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_SIGNALLED = 128
"""A process that a signal ended has this and the signal's number for an exit code, as in a shell."""


class Ended(Protocol):
    """What is known of an end: a run in the state, or the event that told it."""

    @property
    def exit_code(self) -> int | None:
        """None when nobody saw it."""
        ...

    @property
    def oom(self) -> bool:
        """Killed for want of memory."""
        ...

    @property
    def oom_kills(self) -> int:
        """How many of its processes were."""
        ...

    @property
    def memory_limit_bytes(self) -> int:
        """0 for none."""
        ...

    @property
    def unexecutable(self) -> str:
        """Why it never became the command."""
        ...

    @property
    def fault(self) -> Fault | None:
        """What ended the machine around it."""
        ...

    @property
    def fault_text(self) -> str:
        """More on that."""
        ...


FAULTS: dict[Fault, str] = {
    "panic": "the guest's kernel panicked",
    "killed": "the VM's monitor was killed",
    "starved": "the VM's monitor was killed: the machine was out of memory",
    "crashed": "the VM's monitor failed",
    "silent": "the guest did not answer any more, and was ended",
    "agent": "the guest's agent failed",
}
"""What happened, as a sentence; what more is known follows behind a colon."""


def bytes_text(count: int) -> str:
    """64 MiB, 1.5 GiB: one decimal, where there is one and it tells something."""
    power = 0
    while count >= 1024 ** (power + 1) and power < len(_UNITS) - 1:
        power += 1
    value = count / 1024**power
    if value >= 1023.5 and power < len(_UNITS) - 1:  # no 1024 MiB
        return f"1 {_UNITS[power + 1]}"
    exact = value >= 100 or count % 1024**power == 0
    return f"{value:.{0 if exact else 1}f} {_UNITS[power]}"


def exit_text(code: int | None) -> str:
    """Exited with code 143 (SIGTERM)."""
    name = signal_name(code - _SIGNALLED) if code is not None and code > _SIGNALLED else ""
    return f"exited with code {code}" + (f" ({name})" if name else "")


def end_text(end: Ended) -> str:
    """How it ended, in one line."""
    if end.unexecutable:
        return end.unexecutable
    if end.fault is not None:
        return FAULTS[end.fault] + (f": {end.fault_text}" if end.fault_text else "")
    if end.oom:
        return f"killed: {memory_text(end.memory_limit_bytes)}"
    text = exit_text(end.exit_code)
    if end.oom_kills:
        what = "a process of it was" if end.oom_kills == 1 else f"{end.oom_kills} of its processes were"
        text += f"; {what} killed: {memory_text(end.memory_limit_bytes)}"
    return text


def check_text(message: str) -> str:
    """A health check's failure as it is told beside its workload: the entry has of a command and of an answer only what
    they did, which could be the workload's doing."""
    return f"its check {message}" if message.startswith(("exited ", "answered ")) else message


def span_text(ms: int) -> str:
    """A pause: 1.5 s, and from a minute on 4m16s, 1h or 1h5m."""
    if ms < 60_000:
        return f"{ms / 1000:g} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def memory_text(limit_bytes: int) -> str:
    """Whose memory ran out."""
    return f"out of memory (limit {bytes_text(limit_bytes)})" if limit_bytes else "the machine was out of memory"
