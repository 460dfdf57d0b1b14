"""Options that many commands share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from capsulectl.names import workload_names
from capsulectl.quantities import seconds


def not_negative(type_: object, value: int | None) -> None:
    """A validator for counts and sequence numbers."""
    if value is not None and value < 0:
        raise ValueError("It must not be negative.")


def in_seconds(type_: object, tokens: Sequence[Any]) -> float:
    """A converter for a time to wait."""
    return seconds(tokens[0].value)


Format = Literal["table", "wide", "json", "yaml", "name"]
Output = Annotated[Format, Parameter(name=["-o", "--output"], help="How to print: table, wide, json, yaml or name.")]
DryRun = Annotated[bool, Parameter(name="--dry-run", negative="", help="Show the plan; change nothing at all.")]
ExpectSeq = Annotated[
    int | None,
    Parameter(
        name="--expect-seq", validator=not_negative, help="Refuse if the object changed since this sequence number."
    ),
]
Watch = Annotated[bool, Parameter(name=["-w", "--watch"], negative="", help="Go on and print every change.")]
Timeout = Annotated[
    float,
    Parameter(name="--timeout", converter=in_seconds, help="How long to wait at most (90 or 90s, 2m); then exit 124."),
]
Yes = Annotated[bool, Parameter(name=["-y", "--yes"], negative="", help="Do not ask.")]


Name = Annotated[str, Parameter(help="The workload's name.", completer=workload_names)]
Names = Annotated[list[str], Parameter(help="Workloads' names.", completer=workload_names)]


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """Options of every command that talks to a capsule."""

    capsule: Annotated[
        str,
        Parameter(
            name="--capsule",
            help="A context, its HOST:PORT, or unix:PATH (default: CAPSULE_HOST, then the current context).",
        ),
    ] = ""
    quiet: Annotated[bool, Parameter(name=["-q", "--quiet"], negative="", help="Print only what was asked for.")] = (
        False
    )


COMMON = Common()
