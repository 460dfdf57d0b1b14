"""Which entry of a workload's past `previous` and `healthy` mean: found in the journal, for a rollback to go there."""

from collections.abc import Iterator
from heapq import merge
from itertools import islice, takewhile

from msgspec.structs import replace

from capsule.v1 import rollback_pb2 as pb
from capsuled.last_entries import last_of_boots
from capsuled.revisions import LOOKED_AT, declarations, revisions
from capsuled.rpc import Refused, refuse
from journal.codec import BadBody, UnknownMust, decode
from journal.entry import Stored
from journal.events import Event, type_of
from journal.reader import Reader
from projections.refusals import no_workload
from projections.rollback import MACHINE_ENDED, RUN_TOLD, Told, healthy, previous
from projections.state import Deadline, Machine, Workload

_ENDED = tuple(type_of(one) for one in MACHINE_ENDED)
_READ = frozenset((*_ENDED, *(type_of(one) for one in RUN_TOLD)))


def earlier(reader: Reader, now: Machine, request: pb.RollbackRequest, present: Deadline) -> int:
    """The entry that a request for `previous` or `healthy` means; `present`: when the machine was as it is `now`.
    Raises Refused where there is none."""
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
        seq = healthy(workload, lambda first: _told(reader, workload.name, first, now.seq, present))
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


def _told(reader: Reader, name: str, first: int, upto: int, present: Deadline) -> Iterator[Told]:
    """The entries of the workload from one on, which declared it, with what else tells how long a run of it lived. What
    is told of its runs is decoded, and how it was declared there."""
    own = reader.of_object(name, first, upto)
    beside = [last_of_boots(reader, first, upto), *(reader.of_type(tag, first, upto) for tag in _ENDED)]
    streams = [((one, True) for one in own), *(((one, False) for one in some) for some in beside)]
    left, last = LOOKED_AT, None
    for stored, is_its_own in merge(*streams, key=lambda told: told[0].header.seq):
        if is_its_own:
            if not left:  # it may have ended there: nothing behind that says that it lived
                return
            left, last = left - 1, stored.header
        matters = stored.header.seq == first or stored.header.type in _READ
        yield stored.header, _decoded(stored) if matters else None
    if last is not None:
        yield replace(last, boot=present.boot, mono=present.mono_ns, type=""), None


def _decoded(stored: Stored) -> Event | None:
    """None for a newer release's."""
    try:
        return decode(stored)
    except (UnknownMust, BadBody):
        return None
