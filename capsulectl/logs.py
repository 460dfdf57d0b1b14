"""`capsulectl logs` and `capsulectl capsule logs`."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from queue import Queue
from threading import Lock, Thread
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from capsulectl.connection import Connection
from capsulectl.errors import USAGE, Failure
from capsulectl.options import COMMON, Common, Some, boot_number, count, not_empty, sequence_number
from capsulectl.render import say, write_line
from capsulectl.selecting import Labels, check_asked, targets

ALL = -1


def _lines(type_: object, tokens: Sequence[Any]) -> int:
    """A converter for a number of lines, or `all`."""
    text = str(tokens[0].value)
    if text == "all":
        return ALL
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number of lines: say one, or all") from None
    count(int, number)
    return number


Follow = Annotated[bool, Parameter(name=["-f", "--follow"], negative="", help="Go on as it grows.")]
Tail = Annotated[
    int,
    Parameter(
        name=["-n", "--tail"],
        converter=_lines,
        metavar="LINES",
        show_default=lambda _: "all",
        help="Only the last so many lines, or all; 0: only what comes.",
    ),
]
Stream = Annotated[Literal["both", "stdout", "stderr"], Parameter(name="--stream", help="Only one of the two streams.")]
Since = Annotated[
    str,
    Parameter(name="--since", converter=not_empty, help="Only what was seen since: 10m, 2h, 7d or 2026-11-24T10:00."),
]
Until = Annotated[str, Parameter(name="--until", converter=not_empty, help="Only what was seen until then.")]
Stamps = Annotated[
    bool,
    Parameter(
        name=["-t", "--timestamps"],
        negative="",
        help="Begin each line with the time the capsule saw it; `~`: at that time or before.",
    ),
]
RunNumber = Annotated[
    int, Parameter(name="--run", validator=sequence_number, help="The log of this run; 0: the newest.")
]
Serial = Annotated[
    bool, Parameter(name="--serial", negative="", help="What the console of a microVM shows, its kernel's words too.")
]
Previous = Annotated[
    bool, Parameter(name=["-p", "--previous"], negative="", help="The log of the run before the one that is meant.")
]
Level = Annotated[
    Literal["debug", "info", "warning", "error"], Parameter(name="--level", help="Only what is so bad, or worse.")
]
Boot = Annotated[
    int,
    Parameter(name="--boot", validator=boot_number, help="Of one boot: 0 the present one, -1 the one before it."),
]
LineOutput = Annotated[
    Literal["text", "json"],
    Parameter(name=["-o", "--output"], help="As it was written, or as one JSON object a line."),
]
LogOutput = Annotated[
    Literal["text", "json"],
    Parameter(name=["-o", "--output"], help="As it was written, or as one JSON object a record."),
]


def logs(names: Some = (), /, *, selector: Labels = (), follow: Follow = False, tail: Tail = ALL,
    since: Since = "", until: Until = "", timestamps: Stamps = False, stream: Stream = "both", run: RunNumber = 0,
    previous: Previous = False, serial: Serial = False, output: LineOutput = "text",
    common: Common = COMMON) -> None:  # fmt: skip
    """Print what a workload's newest run wrote: its output on ours, its errors on ours.

    With several names, or with labels, each line begins with its workload's. A followed log goes on over restarts, and
    ends when the workload does. As JSON, both streams are on our output.

    Example: capsulectl logs web --since 10m -n 20 -f
    """
    from capsule.v1 import workload_pb2 as pb

    check_asked(names, selector, "logs")
    if (selector or len(names) > 1) and (run or previous):
        raise Failure("--run and --previous go with one workload", USAGE)
    if follow and until:
        raise Failure("--follow has no end: leave out --until", USAGE)
    only = {"both": pb.LOG_STREAM_UNSPECIFIED, "stdout": pb.LOG_STREAM_STDOUT, "stderr": pb.LOG_STREAM_STDERR}[stream]
    since_ns, until_ns = _moment(since, "--since"), _moment(until, "--until")
    connection = Connection(common.capsule)
    chosen = targets(connection, names, selector, "logs")
    named, width = bool(selector) or len(chosen) > 1, max(len(name) for name in chosen)

    def copy(name: str) -> None:
        request = pb.WorkloadLogsRequest(
            name=name,
            follow=follow,
            stream=only,
            since_unix_ns=since_ns,
            until_unix_ns=until_ns,
            timestamps=timestamps or output == "json",
            run=run,
            previous=previous,
            source=pb.LOG_SOURCE_SERIAL if serial else pb.LOG_SOURCE_UNSPECIFIED,
        )
        printer: Printer | Records
        if output == "json":
            printer = Records(name, serial)
        else:
            printer = Printer(f"{name:<{width}} | " if named else "", timestamps)
        wrote = False
        for chunk in _chunks(connection, connection.workloads.Logs, request, tail):
            printer.print(chunk)
            wrote = True
        printer.end()
        if not wrote and not run and not previous:
            _why_empty(connection, name, common.quiet)

    if follow and len(chosen) > 1:
        _together(copy, chosen)
    else:
        for name in chosen:
            copy(name)


def _why_empty(connection: Connection, name: str, quiet: bool) -> None:
    """Of a workload that never ran an empty log says nothing: that it did not is said."""
    from capsule.v1 import workload_pb2 as pb
    from capsulectl.words import phase

    workload = connection.read(connection.workloads.Get, pb.WorkloadGetRequest(name=name))
    status = workload.status
    if not status.started_at_unix_ns:
        which = f"run {status.run} has not" if status.run > 1 else "no run of it has"
        why = f": {status.message}" if status.message else ""
        say(f"{name} has no log: {which} begun yet; it is {phase(workload)}{why}", quiet)


def daemon_logs(*, follow: Follow = False, tail: Tail = ALL, since: Since = "", until: Until = "",
    level: Level = "debug", boot: Boot = 0, output: LogOutput = "text", common: Common = COMMON) -> None:  # fmt: skip
    """Print the daemon's own log, of this boot of the machine or of one before.

    With a level or a time, -n counts records of those that are asked for, whole ones with their further lines.

    Example: capsulectl capsule logs --level warning --since 2h
    """
    from capsule.v1 import capsule_pb2 as pb

    if boot > 0:
        raise Failure("boots are counted back: 0 is the present one, -1 the one before it", USAGE)
    if follow and (until or boot):
        raise Failure(f"--follow has no end: leave out {'--until' if until else '--boot'}", USAGE)
    request = pb.CapsuleLogsRequest(
        follow=follow,
        level=None if level == "debug" else f"LOG_LEVEL_{level.upper()}",
        since_unix_ns=_moment(since, "--since"),
        until_unix_ns=_moment(until, "--until"),
        records=output == "json",
        boots_back=-boot,
    )
    connection = Connection(common.capsule)
    for chunk in _chunks(connection, connection.capsule.StreamLogs, request, tail):
        if output == "json":
            write_line(_record(chunk))
        else:
            sys.stdout.buffer.write(chunk.data)
            sys.stdout.buffer.flush()


def _chunks(connection: Connection, method: Any, request: Any, tail: int) -> Iterator[Any]:
    """What was asked for. Of nothing but what comes the wire knows nothing, for there 0 is all: the last line is asked
    for, and again with those that follow it."""
    if tail:
        request.tail_lines = max(tail, 0)
        return connection.stream(method, request)
    request.tail_lines = 1
    follow, request.follow = request.follow, False
    past = list(connection.stream(method, request))
    request.follow = follow
    return without(past, connection.stream(method, request)) if follow else iter(())


def without(past: Sequence[Any], chunks: Iterator[Any]) -> Iterator[Any]:
    """The chunks but for their beginning, as far as that is what was there already. An end of a line that was begun
    then is new."""
    left = b"".join(chunk.data for chunk in past)
    for chunk in chunks:
        if left and not chunk.data.startswith(left[: len(chunk.data)]):
            left = b""
        chunk.data, left = chunk.data[len(left) :], left[len(chunk.data) :]
        if chunk.data:
            yield chunk


def _record(chunk: Any) -> dict[str, str]:
    """One record; of a line that is none of the daemon's own, what there is."""
    from capsule.v1 import capsule_pb2 as pb

    if not chunk.level:
        return {"message": chunk.message}
    return {
        "time": stamp(chunk.at_unix_ns, late=False).decode().strip(),
        "level": pb.LogLevel.Name(chunk.level).removeprefix("LOG_LEVEL_").lower(),
        "source": chunk.source,
        "message": chunk.message,
    }


class Printer:
    """Chunks of one log to our two streams; whole lines, where something stands before each."""

    _turn = Lock()

    def __init__(self, prefix: str, timestamps: bool) -> None:
        self._prefix = prefix.encode()
        self._timestamps = timestamps
        self._fresh = {False: True, True: True}

    def print(self, chunk: Any) -> None:
        """Print one chunk, at once. What the capsule says of missing lines is no output of the workload's."""
        target = (sys.stderr if chunk.stderr or chunk.dropped_bytes else sys.stdout).buffer
        if self._timestamps and not chunk.dropped_bytes:
            lead = self._prefix + stamp(chunk.at_unix_ns, chunk.late)
        else:
            lead = self._prefix
        with self._turn:
            if not lead:
                target.write(chunk.data)
            else:
                self._lines(target, lead, chunk)
            target.flush()

    def end(self) -> None:
        """There is no more of it."""

    def _lines(self, target: Any, lead: bytes, chunk: Any) -> None:
        for line in _split(chunk.data):
            if self._fresh[chunk.stderr]:
                target.write(lead)
            target.write(line)
            self._fresh[chunk.stderr] = line.endswith(b"\n")


class Records:
    """Chunks of one log to JSON, an object a line of the workload's; a line that comes in pieces is put together."""

    _turn = Lock()

    def __init__(self, name: str, serial: bool) -> None:
        self._name = name
        self._serial = serial
        self._begun: dict[bool, tuple[bytes, Any]] = {}

    def print(self, chunk: Any) -> None:
        """Print one chunk, at once. What the capsule says of missing lines is no output of the workload's."""
        if chunk.dropped_bytes:
            with self._turn:
                sys.stderr.buffer.write(chunk.data)
                sys.stderr.buffer.flush()
            return
        begun, before = self._begun.pop(chunk.stderr, (b"", chunk))
        if before.run != chunk.run:  # nobody ends that line any more
            self._write(begun, before)
            begun = b""
        for line in _split(begun + chunk.data):
            if line.endswith(b"\n"):
                self._write(line[:-1], chunk)
            else:
                self._begun[chunk.stderr] = line, chunk

    def end(self) -> None:
        """What was not ended is a line, too."""
        for text, chunk in self._begun.values():
            self._write(text, chunk)

    def _write(self, text: bytes, chunk: Any) -> None:
        record = {
            "workload": self._name,
            "stream": "serial" if self._serial else "stderr" if chunk.stderr else "stdout",
            "time": stamp(chunk.at_unix_ns, late=False).decode().strip(),
            "text": text.decode(errors="replace"),
        }
        with self._turn:
            write_line(record | ({"late": True} if chunk.late else {}))


def _split(data: bytes) -> list[bytes]:
    """Lines by newline alone: a carriage return is a progress bar's business."""
    return [line + b"\n" for line in data.split(b"\n")[:-1]] + [rest for rest in data.split(b"\n")[-1:] if rest]


def stamp(at_ns: int, late: bool) -> bytes:
    """A wall time in the operator's own time zone (RFC 3339), and a blank; `~` before one that is only the latest."""
    local = time.localtime(at_ns // 1_000_000_000)
    zone = time.strftime("%z", local)
    text = f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{at_ns % 1_000_000_000 // 1_000_000:03d}{zone[:3]}:{zone[3:]}"
    return f"{'~' if late else ''}{text} ".encode()


def _moment(text: str, option: str) -> int:
    if not text:
        return 0
    from capsulectl.history import parse_since

    return parse_since(text, option=option)


def _together(copy: Callable[[str], None], names: Sequence[str]) -> None:
    """All at once. A failure is told at once and does not end the others; a reader that is gone ends them all, and
    whatever nobody expected: who waits for an end that never comes would wait for ever."""
    ends: Queue[Exception | None] = Queue()

    def guarded(name: str) -> None:
        try:
            copy(name)
            ends.put(None)
        except Exception as error:
            ends.put(error)

    for name in names:
        Thread(target=guarded, args=(name,), daemon=True).start()
    failed: Failure | None = None
    said: set[str] = set()  # a machine that went away is told once
    for _ in names:
        match ends.get():
            case Failure() as failure:
                if failure.message not in said:
                    said.add(failure.message)
                    say(f"capsulectl: {failure.message}")
                failed = failure
            case Exception() as error:
                raise error
    if failed is not None:
        raise Failure("", failed.code)
