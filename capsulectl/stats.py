"""`capsulectl stats`: what workloads use, once or again and again."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from capsule.v1 import stats_pb2 as pb
from capsulectl.connection import Connection
from capsulectl.errors import USAGE, Failure
from capsulectl.names import workload_names
from capsulectl.options import COMMON, DURATION, Common, Format, Output, in_seconds, not_empty
from capsulectl.render import plain, say, show_table, write, write_line, write_next
from capsulectl.selecting import Labels, targets
from capsulectl.stats_rows import Key, aligned, headings, ordered, row_of


def _within(least_s: float, most_s: float, words: str) -> Callable[[object, Sequence[Any]], float]:
    """A converter for a time that the capsule takes."""

    def convert(type_: object, tokens: Sequence[Any]) -> float:
        found = in_seconds(type_, tokens)
        if not least_s <= found <= most_s:
            raise ValueError(f"{tokens[0].value!r} is not {words}")
        return found

    return convert


Some = Annotated[
    tuple[str, ...],
    Parameter(help="Workloads' names; none: all that run.", converter=not_empty, completer=workload_names, negative=""),
]
Interval = Annotated[
    float,
    DURATION,
    Parameter(
        name=["-i", "--interval"],
        converter=_within(0.5, 60, "from 500ms to 1m"),
        help="How long between two samples: 500ms to 1m.",
    ),
]
Sort = Annotated[Key, Parameter(name="--sort", help="What comes first: most of this, or names in their order.")]


def stats(
    names: Some = (),
    /,
    *,
    selector: Labels = (),
    output: Output = "table",
    sort: Sort = "name",
    window: Annotated[
        float,
        DURATION,
        Parameter(
            name="--window",
            converter=_within(0, 5, "from 0 to 5s"),
            help="How long to measure rates for: at most 5s; 0: none.",
        ),
    ] = 1.0,
    layers: Annotated[
        bool,
        Parameter(
            name="--layers", negative="", help="Also how much each wrote beside its volumes: counted file by file."
        ),
    ] = False,
    watch: Annotated[
        bool, Parameter(name=["-w", "--watch"], negative="", help="Go on, a sample each interval.")
    ] = False,
    interval: Interval = 2.0,
    common: Common = COMMON,
) -> None:
    """Show what workloads use: of a core, of memory, and bytes by the second of disk and network.

    MEMORY leaves out what the machine can take back at once; CPU is of one core, so that 200% are two of them.

    Example: capsulectl stats --sort memory
    """
    if layers and watch:
        raise Failure("--layers goes with one sample: leave out --watch", USAGE)
    connection = Connection(common.capsule)
    chosen = asked_for(connection, names, selector, "stats")
    if watch:
        _go_on(connection, chosen, interval, output, sort)
        return
    request = pb.StatsSampleRequest(names=chosen, window_ms=round(window * 1_000), layers=layers)
    sample = connection.read(connection.stats.Sample, request)
    show_sample(sample, output, sort)
    idle = [usage.name for usage in sample.workloads if not usage.measured]
    if idle:
        say(f"nothing to measure of {', '.join(idle)}: not running", common.quiet)


def asked_for(connection: Connection, names: Sequence[str], labels: Sequence[str], verb: str) -> list[str]:
    """The names that were given or have the labels; none, where all are meant."""
    return targets(connection, names, labels, verb) if names or labels else []


def watched(connection: Connection, names: Sequence[str], interval_s: float) -> Any:
    """Samples, until somebody has had enough."""
    request = pb.StatsWatchRequest(names=names, interval_ms=round(interval_s * 1_000))
    return connection.stream(connection.stats.Watch, request)


def show_sample(sample: Any, output: Format, sort: Key) -> None:
    """Print one sample."""
    usages = ordered(sample.workloads, sort)
    if output in ("json", "yaml"):
        write(_plain(sample, sort), output)
    elif output == "name":
        for usage in usages:
            print(usage.name)
    else:
        wide = output == "wide"
        show_table(*aligned(headings(wide), [row_of(usage, wide) for usage in usages]), cut=not wide)


def _plain(sample: Any, sort: Key) -> dict[str, Any]:
    return plain(sample, zeros=True) | {
        "workloads": [plain(one, zeros=True) for one in ordered(sample.workloads, sort)]
    }


def _go_on(connection: Connection, names: Sequence[str], interval_s: float, output: Format, sort: Key) -> None:
    for number, sample in enumerate(watched(connection, names, interval_s)):
        if output == "json":
            write_line(_plain(sample, sort))
        elif output == "yaml":
            write_next(_plain(sample, sort))
        else:
            if number:
                print()
            show_sample(sample, output, sort)
            print(end="", flush=True)
