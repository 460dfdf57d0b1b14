"""`capsulectl logs` and `capsulectl capsule logs`."""

import sys
from collections.abc import Callable, Iterator, Sequence
from queue import Queue
from threading import Thread
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from capsulectl.connection import Connection
from capsulectl.errors import NO_TIMES, USAGE, Failure
from capsulectl.log_lines import Printer, Records, stamp
from capsulectl.options import COMMON, Common, Some, boot_number, count, not_empty, sequence_number
from capsulectl.render import say, write_line
from capsulectl.selecting import Labels, check_asked, targets
from capsulectl.times import parse_since, parse_until

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
    since_ns, until_ns = parse_since(since), parse_until(until)
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
            timestamps=timestamps or (output == "json" and not serial),
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
        try:
            for chunk in _workloads(connection, request, tail, insists=timestamps):
                printer.print(chunk)
                wrote = True
        finally:
            printer.end()  # what was held back came, however this ends
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
        since_unix_ns=parse_since(since),
        until_unix_ns=parse_until(until),
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


def _workloads(connection: Connection, request: Any, tail: int, *, insists: bool) -> Iterator[Any]:
    """A workload's, with times. Only the capsule knows whose log is a console, which has none: where nobody insists on
    them, it is asked again without."""
    untimed = type(request)()
    untimed.CopyFrom(request)
    untimed.timestamps = False
    try:
        yield from _chunks(connection, connection.workloads.Logs, request, tail)
    except Failure as failure:
        if insists or failure.reason != NO_TIMES:
            raise
        yield from _chunks(connection, connection.workloads.Logs, untimed, tail)


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
