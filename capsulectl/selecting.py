"""Which workloads are meant: by name, by label, by phase. What is asked for is parsed before anything is sent."""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from capsule.v1 import workload_pb2 as pb
from capsulectl.errors import USAGE, Failure
from projections.details import Detail

Labels = Annotated[
    tuple[str, ...],
    Parameter(
        name=["-l", "--selector"],
        negative="",
        help="Only those with these labels: KEY, !KEY, KEY=VALUE, KEY!=VALUE, with commas between.",
        allow_leading_hyphen=True,
    ),
]
Phases = Annotated[
    tuple[str, ...],
    Parameter(name="--phase", negative="", help="Only those in this phase, or with this word behind it (backoff)."),
]

PHASES = ("pending", "running", "failed", "stopped")
DETAILS = tuple(detail for detail in Detail if detail not in PHASES)

_TERM = re.compile(r"(?P<key>[^=!,\s]+)\s*(?:(?P<sign>==?|!=)\s*(?P<value>[^=!,]*))?|!\s*(?P<absent>[^=!,\s]+)")


class Selection:
    """Labels and phases; everything is selected when none is given."""

    def __init__(self, labels: Iterable[str] = (), phases: Iterable[str] = ()) -> None:
        self._terms = [_term(part, text) for text in labels for part in text.split(",")]
        self._phases = {_phase(part) for text in phases for part in text.split(",")}

    @property
    def anything(self) -> bool:
        """Whether nothing is asked for."""
        return not self._terms and not self._phases

    def has(self, workload: Any) -> bool:
        """Whether it is one of them."""
        labels, status = dict(workload.labels), workload.status
        if self._phases and self._phases.isdisjoint((phase_word(workload), status.phase_detail)):
            return False
        return all(_holds(labels, *term) for term in self._terms)


def phase_word(workload: Any) -> str:
    """pending, running, failed or stopped."""
    return str(pb.WorkloadPhase.Name(workload.status.phase)).removeprefix("WORKLOAD_PHASE_").lower()


def _holds(labels: dict[str, str], key: str, sign: str, value: str) -> bool:
    match sign:
        case "":
            return key in labels
        case "!":
            return key not in labels
        case "!=":
            return labels.get(key) != value
        case _:
            return labels.get(key) == value


def _term(part: str, whole: str) -> tuple[str, str, str]:
    found = _TERM.fullmatch(part.strip())
    if found is None:
        hint = "say KEY, !KEY, KEY=VALUE or KEY!=VALUE, with commas between"
        raise Failure(f"-l {whole!r}: {part.strip()!r} selects nothing: {hint}", USAGE)
    if found["absent"]:
        return found["absent"], "!", ""
    return found["key"], (found["sign"] or "").replace("==", "="), (found["value"] or "").strip()


def _phase(text: str) -> str:
    word = text.strip().lower()
    if word not in (*PHASES, *DETAILS):
        raise Failure(f"--phase {text!r} is none of {', '.join(PHASES)}; nor of {', '.join(DETAILS)}", USAGE)
    return word


def targets(connection: Any, names: Sequence[str], labels: Sequence[str], verb: str) -> list[str]:
    """The names of the workloads that a verb is for: those that were named, or those that have the labels."""
    if names and labels:
        raise Failure(f"`{verb}` takes names or -l, not both", USAGE)
    if names:
        return list(dict.fromkeys(names))
    if not labels:
        raise Failure(f"which one? Say `capsulectl {verb} NAME`; `capsulectl list` shows those there are", USAGE)
    selection = Selection(labels)
    found = connection.read(connection.workloads.List, pb.WorkloadListRequest()).workloads
    chosen = [workload.name for workload in found if selection.has(workload)]
    if not chosen:
        raise Failure(f"no workload has {','.join(labels)}: `capsulectl list -o wide` shows their labels")
    return chosen


def workload_named(asked: str, of_a_volume: str) -> str:
    """The workload's name: `workload/web`, as other verbs take it, is `web` here. Raises Failure at a volume's, which
    the command `of_a_volume` is about."""
    kind, _, name = asked.partition("/")
    if kind == "volume" and name:
        raise Failure(f"{asked} is no workload: `capsulectl {of_a_volume.format(name)}` shows it", USAGE)
    return name if kind == "workload" and name else asked
