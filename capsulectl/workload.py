"""`capsulectl workload …`: start, stop, restart, delete, wait."""

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

from cyclopts import Parameter

from capsule.v1 import workload_pb2 as pb
from capsulectl.absent import parted, tell
from capsulectl.connection import Connection
from capsulectl.endings import ASKED, told
from capsulectl.errors import FAILED, USAGE, Failure
from capsulectl.options import COMMON, Common, DryRun, ExpectSeq, Format, Some, Timeout, Yes
from capsulectl.prompt import confirm
from capsulectl.render import plain, say, show_table, write
from capsulectl.selecting import Labels, declared, targets
from capsulectl.waiting import Goal, wait_for
from capsulectl.words import short_image as short_image
from projections.details import Detail
from projections.ending import ending_turns

PlanOutput = Annotated[
    Format,
    Parameter(name=["-o", "--output"], help="How to print the plan of --dry-run: table, wide, json, yaml or name."),
]
All = Annotated[bool, Parameter(name=["-a", "--all"], negative="", help="All workloads there are.")]
Files = Annotated[
    tuple[str, ...],
    Parameter(
        name=["-f", "--filename"],
        help="The workloads that a manifest declares: file, directory, or - for standard input. Can be repeated.",
        allow_leading_hyphen=True,
        negative="",
    ),
]
Wait = Annotated[bool, Parameter(name="--wait", negative="", help="Wait until it is so.")]


def start(names: Some = (), /, *, selector: Labels = (), all_: All = False, dry_run: DryRun = False,
    expect_seq: ExpectSeq = None, wait: Wait = False, timeout: Timeout = 60,
    output: PlanOutput = "table", common: Common = COMMON) -> None:  # fmt: skip
    """Let workloads run.

    Example: capsulectl workload start web --wait
    """
    verb = Verb(
        "start", pb.WorkloadStartRequest, "has started" if wait else "shall run", Goal.HEALTHY if wait else None
    )
    verb.act(common, Which(names, selector, all_), dry_run, expect_seq, timeout, output)


def stop(names: Some = (), /, *, selector: Labels = (), all_: All = False, dry_run: DryRun = False,
    expect_seq: ExpectSeq = None, wait: Wait = False, timeout: Timeout = 60,
    output: PlanOutput = "table", common: Common = COMMON) -> None:  # fmt: skip
    """Stop workloads; they stay stopped over reboots until they are started or applied again.

    Example: capsulectl workload stop web --wait
    """
    verb = Verb("stop", pb.WorkloadStopRequest, "has stopped" if wait else "shall stop", Goal.STOPPED if wait else None)
    for name, answer in verb.act(common, Which(names, selector, all_), dry_run, expect_seq, timeout, output):
        if answer.not_remembered:
            say(
                f"{name} was stopped, but the journal cannot write: the stop is not remembered as desired state, and "
                "lists go on to show what was known before it; once it can, stop it again"
            )


def restart(names: Some = (), /, *, selector: Labels = (), all_: All = False, dry_run: DryRun = False,
    expect_seq: ExpectSeq = None, wait: Wait = False, timeout: Timeout = 60,
    output: PlanOutput = "table", common: Common = COMMON) -> None:  # fmt: skip
    """End the present runs and begin others; what is desired stays as it is.

    Example: capsulectl workload restart -l app=web --wait
    """
    verb = Verb(
        "restart",
        pb.WorkloadRestartRequest,
        "has begun a new run" if wait else "shall begin a new run",
        Goal.HEALTHY if wait else None,
    )
    verb.act(common, Which(names, selector, all_), dry_run, expect_seq, timeout, output)


def delete(names: Some = (), /, *, selector: Labels = (), filename: Files = (), all_: All = False, yes: Yes = False,
    dry_run: DryRun = False, expect_seq: ExpectSeq = None, output: PlanOutput = "table",
    common: Common = COMMON) -> None:  # fmt: skip
    """Leave nothing of workloads: their processes, file systems and logs go. Volumes stay.

    Example: capsulectl workload delete web --yes
    Example: capsulectl workload delete -f web.yaml --dry-run
    """
    if filename:
        if names or selector or all_:
            raise Failure("`delete` takes -f, or names, -l or --all, not both", USAGE)
        workloads, volumes = declared(filename, "delete")
        names = tuple(workloads)
        if volumes:
            say(f"volumes stay: {', '.join(volumes)}", common.quiet)
    verb = Verb("delete", pb.WorkloadDeleteRequest, "is gone", None, danger=True)
    verb.act(common, Which(names, selector, all_), dry_run, expect_seq, 0, output, yes)


def wait(
    names: Some = (),
    /,
    *,
    until: Annotated[
        Goal,
        Parameter(
            name="--for",
            help="running (for a second, or ended with code 0); healthy (by its check; running where it has none); "
            "stopped (by whatever end); completed (ended with code 0); failed; settled (nothing more happens by "
            "itself); gone.",
        ),
    ] = Goal.RUNNING,
    selector: Labels = (),
    timeout: Timeout = 60,
    common: Common = COMMON,
) -> None:
    """Wait until all these workloads are so. Exits 124 when the time is over, 1 when it can no longer become so.

    Example: capsulectl workload wait web db --for running --timeout 30
    """
    connection = Connection(common.capsule)
    wait_for(connection, dict.fromkeys(targets(connection, names, selector, "wait"), until), timeout)


class Which(NamedTuple):
    """The workloads that a verb is for, as they were asked for."""

    names: Sequence[str]
    labels: Sequence[str]
    every: bool


_AIMS = {
    "start": "they run",
    "stop": "nothing of them runs",
    "restart": "they run anew",
    "delete": "nothing of them is left",
}
"""Where what a verb begins leads to."""


class Verb:
    """One call for each of several workloads. One that is refused does not keep the others from being asked."""

    def __init__(self, word: str, request: Callable[..., Any], done: str, goal: Goal | None, danger: bool = False):
        self._word = word
        self._request = request
        self._done = done
        self._goal = goal
        self._danger = danger
        self._aim = _AIMS[word]

    def act(
        self,
        common: Common,
        which: Which,
        dry_run: bool,
        expect_seq: int | None,
        timeout: float,
        output: Format,
        yes: bool = False,
    ) -> list[tuple[str, Any]]:
        """The answers by name. Raises Failure when any was refused, once all were asked."""
        if output != "table" and not dry_run:
            raise Failure("-o is about the plan that --dry-run shows: say that, too", USAGE)
        connection = Connection(common.capsule)
        chosen = targets(connection, which.names, which.labels, self._word, every=which.every)
        if not chosen:
            say("there are no workloads", common.quiet)
        if expect_seq is not None and len(chosen) > 1:
            raise Failure("--expect-seq is about one workload: name one", USAGE)
        never: list[str] = []
        if self._danger and not dry_run:
            chosen, never = parted(chosen, lambda: _known(connection), yes)
        if self._danger and chosen and not dry_run:
            confirm(f"Delete {', '.join(chosen)} with everything in {'it' if len(chosen) == 1 else 'them'}?", yes)
        answers, refused = self._ask(connection, chosen, dry_run, expect_seq) if chosen else ([], [])
        if dry_run:
            _show(answers, output, self._aim, common.quiet)
        elif self._goal is not None and answers:
            wait_for(connection, {name: self._goal for name, _ in answers}, timeout)
        if not dry_run:
            held = self._held(connection, [name for name, _ in answers])
            for name, answer in answers:
                if getattr(answer, "not_remembered", False):
                    continue  # it was done, but it is not what shall be: the verb says so in its own words
                if getattr(answer, "absent", False):
                    never.append(name)
                else:
                    but = f", but cannot yet: {held[name]}" if name in held else ""
                    say(f"{name} {self._done}{but}", common.quiet)
            tell(never, lambda: _known(connection), "{}", common.quiet)
        if refused:
            raise Failure("\ncapsulectl: ".join(refused), FAILED)
        return answers

    def _held(self, connection: Connection, names: Sequence[str]) -> dict[str, str]:
        """Of those that are to run and were not waited for: what keeps them from it, as it stands now. What was asked
        for is done, so nothing that comes in between is a failure."""
        if self._word not in ("start", "restart") or self._goal is not None:
            return {}
        found = connection.calls(
            connection.workloads.Get, [pb.WorkloadGetRequest(name=name) for name in names], changes=False
        )
        there = (one for one in found if not isinstance(one, Failure))
        return {one.name: one.status.message for one in there if one.status.phase_detail == Detail.WAITING}

    def _ask(
        self, connection: Connection, names: Sequence[str], dry_run: bool, expect_seq: int | None
    ) -> tuple[list[tuple[str, Any]], list[str]]:
        # Who uses another of them is asked first, so that the other can still answer while it ends.
        in_turn = _turns(connection, names) if self._word in ("stop", "delete") and len(names) > 1 else [names]
        method, found = getattr(connection.workloads, self._word.capitalize()), []
        for turn in in_turn:
            requests = [self._request(name=name, dry_run=dry_run, expect_seq=expect_seq) for name in turn]
            with told(ASKED):
                found += connection.calls(method, requests)
        names = [name for turn in in_turn for name in turn]
        answers = [(name, one) for name, one in zip(names, found, strict=True) if not isinstance(one, Failure)]
        failures = [one for one in found if isinstance(one, Failure)]
        if len(names) == 1 and failures:
            raise failures[0]
        return answers, [one.message for one in failures]


def _known(connection: Connection) -> list[str]:
    """The workloads there are."""
    found = connection.read(connection.workloads.List, pb.WorkloadListRequest()).workloads
    return [one.name for one in found]


def _turns(connection: Connection, names: Sequence[str]) -> list[list[str]]:
    found = connection.read(connection.workloads.List, pb.WorkloadListRequest()).workloads
    return ending_turns({one.name: one.depends_on for one in found}, names)


def _show(answers: Sequence[tuple[str, Any]], output: Format, aim: str, quiet: bool) -> None:
    """What would be done, as `apply --dry-run` has it; by name, of which workloads."""
    plan = [goal for _, answer in answers for goal in answer.plan]
    if output in ("json", "yaml"):
        write({"plan": [plain(goal) for goal in plan]}, output)
    elif output == "name":
        for name, _ in answers:
            print(name)
    else:
        print_plan(plan, aim, quiet)


def print_plan(plan: Any, aim: str, quiet: bool = False) -> None:
    """What would be done first, of each object: the machine plans one step at a time. `aim` is where they lead to."""
    if not plan:
        print("nothing to do")
        return
    show_table(("EFFECT", "OBJECT", "DETAIL"), [(one.effect, one.object, one.detail) for one in plan])
    sys.stdout.flush()
    say(f"first steps: what follows from each is done, too, until {aim}", quiet)
