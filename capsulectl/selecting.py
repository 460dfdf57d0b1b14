"""Which workloads are meant: by name, by label, by phase, by the files that declare them. What is asked for is parsed
before anything is sent."""

import os
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from capsule.v1 import workload_pb2 as pb
from capsulectl.errors import USAGE, Failure
from capsulectl.names import phase_names
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
    Parameter(
        name="--phase",
        negative="",
        completer=phase_names,
        help="Only those in this phase, or with this word behind it (backoff).",
    ),
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


def check_asked(names: Sequence[str], labels: Sequence[str], verb: str) -> None:
    """Raises Failure where neither is given to a verb that shows what it is given, or where a name is no workload's,
    before anything is sent."""
    if not names and not labels:
        raise Failure(f"`{verb}` needs NAMES, or -l\n`capsulectl {verb} --help` tells how it is meant", USAGE)
    for name in names:
        workload_named(name, "volume get {}")


def targets(
    connection: Any,
    names: Sequence[str],
    labels: Sequence[str],
    verb: str,
    *,
    every: bool = False,
    there: Sequence[Any] | None = None,
) -> list[str]:
    """The names of the workloads that a verb is for: those that were named, those that have the labels, or all there
    are, of which there may be none. What is stopped is not among all that begin again: it would be refused. `there`:
    those there were, where a moment of the past is asked about."""
    if names and labels:
        raise Failure(f"`{verb}` takes names or -l, not both", USAGE)
    if every and (names or labels):
        raise Failure(f"`{verb}` takes --all, or {'names' if names else '-l'}, not both", USAGE)
    if names:
        return list(dict.fromkeys(workload_named(name, "volume get {}") for name in names))
    if not labels and not every:
        raise Failure(f"which one? Say `capsulectl {verb} NAME`; `capsulectl list` shows those there are", USAGE)
    selection = Selection(labels)
    if there is None:
        there = connection.read(connection.workloads.List, pb.WorkloadListRequest()).workloads
    stays = pb.DESIRED_STATE_STOPPED if every and verb == "restart" else None
    chosen = [workload.name for workload in there if selection.has(workload) and workload.desired_state != stays]
    if not chosen and not every:
        raise Failure(f"no workload has {','.join(labels)}: `capsulectl list -o wide` shows their labels")
    return chosen


def declared(filenames: Sequence[str], verb: str) -> tuple[list[str], list[str]]:
    """The workloads and the volumes that manifests declare, by name. Raises Failure where they declare no workload."""
    for name in filenames:
        if name.startswith("-") and name != "-":
            raise Failure(f"unknown option {name}", USAGE)
        if name.replace("-", "").isalnum() and not os.path.exists(name):  # where -f is another tool's word for --yes
            raise Failure(f"-f is for a file, and there is none called {name}: `capsulectl {verb} {name} --yes`", USAGE)
    from capsulectl.manifests import load

    workloads, volumes = load(list(filenames))
    stay = [one.name for one in volumes]
    if not workloads:
        instead = f"`capsulectl volume {verb} {' '.join(stay)}`"
        raise Failure(f"only volumes are declared there, which `{verb}` leaves alone: {instead}", USAGE)
    return [one.name for one in workloads], stay


def workload_named(asked: str, of_a_volume: str) -> str:
    """The workload's name: `workload/web`, as other verbs take it, is `web` here. Raises Failure at a volume's, which
    the command `of_a_volume` is about."""
    kind, _, name = asked.partition("/")
    if kind == "volume" and name:
        raise Failure(f"{asked} is no workload: `capsulectl {of_a_volume.format(name)}` shows it", USAGE)
    return name if kind == "workload" and name else asked
