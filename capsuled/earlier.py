"""Which entry of a workload's past `previous` and `healthy` mean: found in the journal, for a rollback to go there."""

from collections.abc import Iterator
from itertools import islice, takewhile

from msgspec.structs import replace

from capsule.v1 import rollback_pb2 as pb
from capsuled.revisions import LOOKED_AT, declarations, revisions
from capsuled.rpc import Refused, refuse
from journal.codec import BadBody, UnknownMust, decode
from journal.entry import Stored
from journal.events import Event, type_of
from journal.reader import Reader
from projections.refusals import no_workload
from projections.rollback import RUN_TOLD, Told, healthy, previous
from projections.state import Machine, Workload

_RUN_TOLD = frozenset(type_of(one) for one in RUN_TOLD)


def earlier(reader: Reader, now: Machine, request: pb.RollbackRequest) -> int:
    """The entry that a request for `previous` or `healthy` means. Raises Refused where there is none."""
    workload = now.workloads.get(request.name)
    if not request.name:
        refuse(
            "INVALID_ARGUMENT", "WHICH_WORKLOAD", "previous and healthy are revisions of one workload: name it", "name"
        )
    if workload is None:
        gone = no_workload(request.name, now.workloads)
        words = (
            f"{gone.message}. One that was deleted comes back by `--to SEQ`, an entry while it was there; but not one "
            "with `env`, whose values went with it: apply that again"
        )
        raise Refused(replace(gone, message=words))
    if request.WhichOneof("to") == "previous":
        seq, lacks = previous(workload, _declared(reader, workload)), "has no earlier revision that is remembered"
    else:
        seq = healthy(workload, lambda first: _told(reader, workload.name, first, now.seq))
        lacks = "has no earlier revision that is known to have done well"
    if not seq:
        shows = f"`capsulectl workload history {workload.name}` shows those there are"
        if revisions(reader, workload.name, workload.uid - 1, 1):
            lacks += f" since it was created anew at entry {workload.uid}"
            shows += ", and `--to SEQ` takes one from before that"
        refuse("FAILED_PRECONDITION", "NO_SUCH_REVISION", f"{workload.name} {lacks}: {shows}", "to")
    return seq


def _declared(reader: Reader, workload: Workload) -> tuple[int, ...]:
    """The entries of its present and its former declaration, as `workload history` shows them."""
    seqs = (stored.header.seq for stored, _ in declarations(reader, workload.name, workload.desired_seq))
    return tuple(islice(takewhile(lambda seq: seq >= workload.uid, seqs), 2))


def _told(reader: Reader, name: str, first: int, upto: int) -> Iterator[Told]:
    """The entries of the workload from one on, which declared it. What is told of its runs is decoded, and how it was
    declared there."""
    for stored in islice(reader.of_object(name, first, upto), LOOKED_AT):
        matters = stored.header.seq == first or stored.header.type in _RUN_TOLD
        yield stored.header, _decoded(stored) if matters else None


def _decoded(stored: Stored) -> Event | None:
    """None for a newer release's."""
    try:
        return decode(stored)
    except (UnknownMust, BadBody):
        return None
