"""`capsulectl replay`: the fold again, on the machine or here, from an archive."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from capsulectl.connection import Connection
from capsulectl.errors import USAGE, Failure
from capsulectl.options import COMMON, Common, Format, Output, sequence_number
from capsulectl.render import plain, write

if TYPE_CHECKING:
    from journal.archive import Archive

REPLAY_S = 600.0


def replay(
    *,
    to: Annotated[int, Parameter(name="--to", validator=sequence_number, help="Up to this event; 0: all.")] = 0,
    verify: Annotated[
        bool,
        Parameter(
            name="--verify", negative="", help="Compare with what the machine itself has kept; exit 1 if it differs."
        ),
    ] = False,
    file: Annotated[str, Parameter(name="--file", help="Fold an archive, here, without a machine.")] = "",
    step_: Annotated[
        bool, Parameter(name="--step", negative="", help="Walk entry by entry, each with what it made of the state.")
    ] = False,
    since: Annotated[
        int, Parameter(name="--from", validator=sequence_number, help="With --step: shown from this entry on.")
    ] = 1,
    output: Output = "table",
    common: Common = COMMON,
) -> None:
    """Fold the journal again and print the state's hash, or walk through it.

    On a terminal --step waits after each entry: Enter goes on, a number goes on to that entry, c to the end, q ends it.

    Example: capsulectl replay --verify
    Example: capsulectl replay --file memory.capsule --step --from 1200
    """
    if step_:
        if verify:
            raise Failure("--verify compares the end of a fold, --step shows its way: say one of them", USAGE)
        _step(file, since, to, output, common)
        return
    if since > 1:
        raise Failure("--from says where --step begins to show: say both", USAGE)
    if file:
        if verify:
            raise Failure(
                "--verify compares with a machine; an archive is proven by its own chain while it is read", USAGE
            )
        _print(_replayed_archive(file, to), output)
        return
    from capsule.v1 import history_pb2 as pb

    connection = Connection(common.capsule)
    answer = connection.read(connection.history.Replay, pb.ReplayRequest(to=to), timeout=REPLAY_S)
    _print(plain(answer), output)
    if verify:
        _compare(answer)
        if output in ("table", "wide"):
            print(f"Verified:  {_kept(answer)} is the fold of its journal")


def _step(file: str, since: int, to: int, output: Format, common: Common) -> None:
    """Of an archive; without one the machine's own is brought here first, and walked through without it."""
    from capsulectl.folding import Folding, archive_in
    from capsulectl.stepping import step

    with archive_in(file) if file else _brought_here(common) as archive:
        step(Folding(archive, to), since, output)


@contextmanager
def _brought_here(common: Common) -> Iterator["Archive"]:
    """The machine's archive, in a file that has no name. Raises Failure."""
    from tempfile import TemporaryFile

    from capsulectl.folding import opened
    from capsulectl.journal import exported_there

    with ExitStack() as stack:
        try:
            source = stack.enter_context(TemporaryFile())
            source.writelines(exported_there(Connection(common.capsule)))
            source.seek(0)
        except OSError as error:
            raise Failure(f"the machine's archive cannot be kept here: {error.strerror}") from error
        yield opened(source, "the machine's archive")


def _compare(answer: Any) -> None:
    if not answer.live_hash:
        raise Failure(
            f"the machine has kept no state at or before {answer.seq} to compare with: "
            "leave out --to, and the state it has now is compared"
        )
    if answer.live_hash != answer.state_hash:
        raise Failure(
            f"{_kept(answer)} at {answer.seq} has the hash {answer.live_hash}: it is not the fold of its journal. "
            "Keep the journal (`capsulectl journal export`) and restart capsuled, which folds it again"
        )


def _kept(answer: Any) -> str:
    if answer.kept_seq in (0, answer.seq):
        return "the machine's state"
    return f"the machine's snapshot of {answer.kept_seq}, with what came up to {answer.seq},"


def _replayed_archive(file: str, to: int) -> dict[str, Any]:
    import time

    from capsulectl.folding import Folding, archive_in
    from projections.desired import desired_hash
    from projections.fold import fold
    from projections.views import VIEW, state_hash

    entries, began = 0, time.perf_counter()
    with archive_in(file) as archive:
        folding = Folding(archive, to)
        for stored, event in folding.entries():
            fold(folding.machine, stored.header, event)
            entries += 1
    machine, elapsed_us = folding.machine, int((time.perf_counter() - began) * 1e6)
    return {
        "seq": machine.seq, "view": VIEW, "stateHash": state_hash(machine), "entries": entries, "elapsedUs": elapsed_us,
        "desiredHash": desired_hash(machine),
    }  # fmt: skip


def _print(data: dict[str, Any], output: Format) -> None:
    if output in ("json", "yaml"):
        write(data, output)
    elif output == "name":
        print(data["stateHash"])
    else:
        elapsed_ms = data["elapsedUs"] / 1000
        print(f"Replayed:  {data.get('entries', 0)} entries, up to {data.get('seq', 0)}, in {elapsed_ms:.1f} ms")
        print(f"State:     {data['stateHash']} (view {data['view']})")
        if output == "wide":
            print(f"Wanted:    {data['desiredHash']}")
