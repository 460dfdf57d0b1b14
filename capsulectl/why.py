"""`capsulectl why`: the chain of events behind a workload's or a volume's present phase, and what to try next."""

import time
from collections.abc import Iterator
from typing import Annotated, Any

from cyclopts import Parameter

from capsule.v1 import history_pb2 as pb
from capsulectl.connection import Connection
from capsulectl.history import begins_text
from capsulectl.moments import At
from capsulectl.moments import moment as moment_of
from capsulectl.names import object_names
from capsulectl.options import COMMON, Common, Output, not_empty
from capsulectl.render import age, moment, plain, printable, write


def why(
    name: Annotated[
        str,
        Parameter(
            help="A workload or a volume; volume/NAME is no workload.", converter=not_empty, completer=object_names
        ),
    ],
    /,
    *,
    output: Output = "table",
    at: At = "",
    common: Common = COMMON,
) -> None:
    """Why a workload or a volume is as it is: who asked for what, what came of it, and what to try next.

    Example: capsulectl why web
    """
    connection = Connection(common.capsule)
    answer = connection.read(connection.history.Why, pb.WhyRequest(name=name, at=moment_of(at)))
    if output in ("json", "yaml"):
        write(plain(answer), output)
    elif output == "name":
        print(f"{answer.kind}/{answer.name}")
    else:
        print("\n".join(_lines(answer, wide=output == "wide")))


def _lines(answer: Any, wide: bool, indent: str = "") -> Iterator[str]:
    yield indent + printable(answer.conclusion)
    now = time.time_ns()
    if answer.retry_unix_ns > now:
        yield f"{indent}Next try in {age(now, answer.retry_unix_ns)}"
    width = max((len(one.who) for one in answer.chain), default=0)
    for one in answer.chain:
        when = moment(one.at_unix_ns)[: None if wide else 19]
        text = printable(one.text) + _alike(one)
        yield f"{indent}{one.seq:>7}  {when}  {one.who:<{width}}  {text}"
    if answer.begins_seq:
        yield f"{indent}Who asked for that is not remembered: {begins_text(answer.begins_seq)}"
    if answer.advice:
        yield f"{indent}Try:  {printable(answer.advice)}"
    for other in answer.others:
        yield ""
        yield from _lines(other, wide, indent + "  ")


def _alike(link: Any) -> str:
    return f" (and {link.alike} like it before)" if link.alike else ""
