"""Options that many commands share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_origin

from cyclopts import Parameter

from capsulectl.names import context_names, workload_names
from capsulectl.quantities import seconds, seconds_text


def _between(least: int, most: int) -> Callable[[object, int | None], None]:
    """A validator for a number that the call has no more room for."""

    def check(type_: object, value: int | None) -> None:
        if value is None or least <= value <= most:
            return
        raise ValueError("It must not be negative." if value < 0 == least else f"It must be from {least} to {most}.")

    return check


count = _between(0, (1 << 31) - 1)
sequence_number = _between(0, (1 << 63) - 1)
boot_number = _between(-((1 << 31) - 1), (1 << 31) - 1)


def not_empty(type_: object, tokens: Sequence[Any]) -> Any:
    """A converter for names and moments: an empty word is a script's unset variable, and must mean neither everything
    nor now. (A validator would be asked of defaults, too.)"""
    words = [str(token.value) for token in tokens]
    if not all(word.strip() for word in words):
        raise ValueError("an empty word is no name and no moment: is a variable unset?")
    return words[0] if type_ is str else tuple(words) if get_origin(type_) is tuple else words


def in_seconds(type_: object, tokens: Sequence[Any]) -> float:
    """A converter for a time to wait."""
    return seconds(tokens[0].value)


def _as_typed(number: float) -> str:
    return seconds_text(number).replace(" ", "")


DURATION = Parameter(converter=in_seconds, metavar="DURATION", show_default=_as_typed)
"""What every option has in common that is a time to wait; its name and its help stand behind it."""

Format = Literal["table", "wide", "json", "yaml", "name"]
Output = Annotated[Format, Parameter(name=["-o", "--output"], help="How to print: table, wide, json, yaml or name.")]
DryRun = Annotated[bool, Parameter(name="--dry-run", negative="", help="Show the plan; change nothing at all.")]
ExpectSeq = Annotated[
    int | None,
    Parameter(
        name="--expect-seq", validator=sequence_number, help="Refuse if the object changed since this sequence number."
    ),
]
Watch = Annotated[bool, Parameter(name=["-w", "--watch"], negative="", help="Go on and print every change.")]
Timeout = Annotated[
    float,
    DURATION,
    Parameter(name="--timeout", help="How long to wait at most (90 or 90s, 2m); then exit 124."),
]
UntilUp = Annotated[bool, Parameter(name="--wait", negative="--no-wait", help="Wait until the machine is up again.")]
Yes = Annotated[bool, Parameter(name=["-y", "--yes"], negative="", help="Do not ask.")]
Unasked = Annotated[bool, Parameter(name=["-y", "--yes"], negative="", show=False)]
"""Where nothing is asked: a script says it everywhere."""


Name = Annotated[str, Parameter(help="The workload's name.", converter=not_empty, completer=workload_names)]
Some = Annotated[
    tuple[str, ...], Parameter(help="Workloads' names.", converter=not_empty, completer=workload_names, negative="")
]


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """Options of every command that talks to a capsule."""

    capsule: Annotated[
        str,
        Parameter(
            name="--capsule",
            converter=not_empty,
            completer=context_names,
            help="A context, its HOST:PORT, or unix:PATH (default: CAPSULE_HOST, then the current context).",
        ),
    ] = ""
    quiet: Annotated[bool, Parameter(name=["-q", "--quiet"], negative="", help="Print only what was asked for.")] = (
        False
    )


COMMON = Common()
