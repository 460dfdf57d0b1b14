"""How a run ended, by all that is left of it: the guest's last word, its console, the monitor's own end. Pure.

Most of it is the guest's own word about itself, and only that: it decides what an operator reads and whether the run is
begun again, and nothing else.
"""

import msgspec

from effects.microvms.end_record import Record
from effects.microvms.seemly import seemly
from effects.microvms.serial_tail import panic_in
from journal.specs import Fault
from projections.linux import SIGNALS, signal_name

KILLED = 137
_BY_HAND = frozenset({SIGNALS["KILL"], SIGNALS["TERM"], SIGNALS["INT"], SIGNALS["HUP"]})
"""What somebody sends; by any other, a program ends that went wrong."""
_UNEXECUTABLE = 1
"""What a container's first process ends with that could not become its command."""


class Traces(msgspec.Struct, frozen=True):
    """What is left. `status` is the monitor's end as a process (negative: the signal), None where nobody could hear it;
    `why` says why this machine ended it unasked, `asked` that somebody had asked; `starved`: the machine killed it for
    want of memory. `agent`: there was one, whose last word was to be waited for."""

    record: Record
    at_ns: int
    status: int | None = None
    why: tuple[Fault, str] | None = None
    asked: bool = False
    starved: bool = False
    agent: bool = True
    serial: bytes = b""
    words: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """How a run ended; see ObservedRun."""

    exit_code: int
    exited_at_ns: int
    oom_kills: int = 0
    unexecutable: str = ""
    fault: Fault | None = None
    fault_text: str = ""


def judged(traces: Traces) -> Verdict:
    """The end."""
    ending = traces.record.ending
    if ending is not None:
        if ending.fault:
            return Verdict(KILLED, traces.at_ns, ending.oom_kills, fault="agent", fault_text=ending.fault)
        if ending.unexecutable:
            return Verdict(_UNEXECUTABLE, traces.at_ns, ending.oom_kills, unexecutable=ending.unexecutable)
        if ending.exit_code is not None:
            return Verdict(ending.exit_code, traces.at_ns, ending.oom_kills)
    panic = panic_in(traces.serial)
    if traces.asked or (not traces.agent and traces.status == 0 and not panic):
        return Verdict(KILLED if traces.asked else 0, traces.at_ns)
    fault, text = _fault(traces, panic)
    return Verdict(KILLED, traces.at_ns, traces.record.oom_kills, fault=fault, fault_text=text)


def _fault(traces: Traces, panic: str) -> tuple[Fault, str]:
    """What ended it that nobody wanted ended, and more in a line."""
    if traces.why is not None:
        return traces.why
    if panic:
        return "panic", panic
    if traces.starved:
        return "starved", "it took more than it may beside its guest's memory"
    if traces.status is None:
        return "killed", "nobody saw it end, and the guest had not said how its program did"
    if traces.status < 0:
        name = signal_name(-traces.status) or f"signal {-traces.status}"
        return ("killed" if -traces.status in _BY_HAND else "crashed"), f"by {name}"
    if traces.status:
        return "crashed", seemly(traces.words) or f"it ended with code {traces.status}"
    return "agent", "the guest switched itself off, and had not said how its program ended"
