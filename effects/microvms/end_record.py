"""What a guest wrote into its end record: how its payload began and ended. Pure. The guest may be anybody's: every word
of it is read within limits, and shown without what a terminal would obey.

Lines of JSON, together at most MOST_BYTES: first `{"started": ns}` once the payload has become its command; then, where
something in the guest was killed for want of memory and the payload goes on, `{"oom": kills}`; last one of
`{"exit": code}`, `{"signal": n}`, `{"unexecutable": why, "reason": …}`, `{"fault": why}`, each with `"oom": kills`
where there were any.
"""

import msgspec

from effects.microvms.seemly import seemly

MOST_BYTES = 4_096
_OOM_MOST = 1_000_000
_SIGNALLED = 128


class Ending(msgspec.Struct, frozen=True):
    """How a payload ended: `exit_code` as of a shell. `reason` and `unexecutable` of one that never became its command,
    `fault` where not the payload failed but what is around it in the guest; then there is no exit code."""

    exit_code: int | None = None
    oom_kills: int = 0
    unexecutable: str = ""
    reason: str = ""
    fault: str = ""


class Record(msgspec.Struct, frozen=True):
    """What is known of a run by its end record. Without `started` the payload has not run, so far. `oom_kills`: of its
    processes, while it ran."""

    started: bool = False
    ending: Ending | None = None
    oom_kills: int = 0

    @property
    def ran(self) -> bool:
        """Whether the payload became its command, or was all but that: a file that the kernel does not execute."""
        ending = self.ending
        has_end = ending is not None and (ending.exit_code is not None or ending.reason == "NOT_EXECUTABLE")
        return self.started or has_end


class _Line(msgspec.Struct):
    started: int | None = None
    exit: int | None = None
    signal: int | None = None
    unexecutable: str | None = None
    reason: str = ""
    fault: str | None = None
    oom: int = 0


_LINE = msgspec.json.Decoder(_Line)


def parse(content: bytes) -> Record:
    """What the record says. Anything that is no record says nothing; of several endings the first counts."""
    started, kills = False, 0
    for text in content[:MOST_BYTES].split(b"\n")[:-1]:  # what has no end is not whole
        try:
            line = _LINE.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        started = started or line.started is not None
        kills = max(kills, min(line.oom, _OOM_MOST))
        ending = _ending(line)
        if ending is not None:
            return Record(started, ending, kills)
    return Record(started, oom_kills=kills)


def _ending(line: _Line) -> Ending | None:
    kills = min(max(line.oom, 0), _OOM_MOST)
    if line.exit is not None and 0 <= line.exit < 256:
        return Ending(line.exit, kills)
    if line.signal is not None and 0 < line.signal <= 64:
        return Ending(_SIGNALLED + line.signal, kills)
    if line.unexecutable is not None:
        return Ending(oom_kills=kills, unexecutable=seemly(line.unexecutable), reason=line.reason)
    if line.fault is not None:
        return Ending(oom_kills=kills, fault=seemly(line.fault))
    return None
