"""`capsulectl workload history NAME`: the declarations that a workload has had, each with what it changed."""

from collections.abc import Iterator
from typing import Annotated, Any

from cyclopts import Parameter

from capsule.v1 import history_pb2 as pb
from capsulectl.applying import change_line
from capsulectl.connection import Connection
from capsulectl.history import as_data, who
from capsulectl.options import COMMON, Common, Name, Output, count
from capsulectl.paging import show_page
from capsulectl.render import moment, plain, printable, write


def history(
    name: Name,
    /,
    *,
    limit: Annotated[
        int, Parameter(name=["-n", "--limit"], validator=count, help="Only the newest so many; 0: all.")
    ] = 0,
    output: Output = "table",
    common: Common = COMMON,
) -> None:
    """The revisions of a workload, newest last: who declared what, and what it changed. `rollback --to` takes their
    numbers.

    Example: capsulectl workload history web -n 5
    """
    connection = Connection(common.capsule)
    found = connection.stream(connection.history.Revisions, pb.RevisionsRequest(name=name, limit=limit))
    if output in ("json", "yaml"):
        write([_data(one) for one in found], output)
    elif output == "name":
        for one in found:
            print(one.entry.seq)
    else:
        show_page((line for one in found for line in _lines(one)), connection.compare)


def _data(revision: Any) -> dict[str, Any]:
    data = plain(revision)
    data["entry"] = as_data(revision.entry)
    return data


def _lines(revision: Any) -> Iterator[str]:
    entry = revision.entry
    yield f"{entry.seq:>7}  {moment(entry.at_unix_ns)[:19]}  {who(entry):<14}  {printable(_word(revision))}"
    yield from (f"{'':>9}{change_line(change)}" for change in revision.changes)


def _word(revision: Any) -> str:
    return "removed" if revision.removed else "created" if revision.created else "changed"
