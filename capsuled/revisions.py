"""The declarations that a workload has had, each with what it changed: from their entries alone, nothing is folded."""

from collections.abc import Iterator
from itertools import islice

from capsule.v1 import history_pb2 as pb
from capsule.v1 import machine_pb2
from capsuled.history import message_of
from capsuled.shortening import cut_changes
from capsuled.wire import field_changes
from journal.codec import BadBody, UnknownMust, decode
from journal.entry import Stored
from journal.events import AppliedWorkload, WorkloadApplied, WorkloadRemoved
from journal.reader import Reader
from projections.state import Workload

LOOKED_AT = 100_000
"""Entries of one workload that are looked at for its declarations, the newest first."""


def revisions(reader: Reader, name: str, upto: int, limit: int) -> list[pb.WorkloadRevision]:
    """Declarations and removals of the workload, newest last, the newest `limit` of them (0: all)."""
    # One more than is shown: what it changed is told against it.
    found = list(islice(declarations(reader, name, upto), limit + 1 if limit else None))
    found.reverse()
    messages: list[pb.WorkloadRevision] = []
    before: AppliedWorkload | None = None
    for stored, item in found:
        messages.append(_message(name, stored, before, item))
        before = item
    return messages[-limit:] if limit else messages


def declarations(reader: Reader, name: str, upto: int) -> Iterator[tuple[Stored, AppliedWorkload | None]]:
    """The entries up to one that declared the workload otherwise than before, the newest first; None: removed it."""
    for stored in islice(reader.newest_of_object(name, upto), LOOKED_AT):
        if stored.header.type not in ("workload.applied", "workload.removed"):
            continue
        try:
            event = decode(stored)
        except (UnknownMust, BadBody):  # a newer release's: what it declared is not known here
            continue
        if isinstance(event, WorkloadRemoved):
            yield stored, None
        elif isinstance(event, WorkloadApplied):
            item = next((one for one in event.items if one.name == name), None)
            if item is not None and _declares(item):
                yield stored, item


def _declares(item: AppliedWorkload) -> bool:
    """Whether it was declared otherwise than before."""
    return item.created or item.changed or item.relabelled or item.reordered or item.policed


def _message(
    name: str, stored: Stored, before: AppliedWorkload | None, item: AppliedWorkload | None
) -> pb.WorkloadRevision:
    changes = [] if item is None else field_changes(None if item.created else _as_state(before), _as_state(item))
    return pb.WorkloadRevision(
        entry=message_of(stored),
        created=item is not None and item.created,
        removed=item is None,
        changes=cut_changes(
            machine_pb2.FieldChange(name=name, op=op, path=path, old=old, new=new) for op, path, old, new in changes
        ),
    )


def _as_state(item: AppliedWorkload | None) -> Workload | None:
    """What the fold would make of it, as far as it was declared."""
    if item is None:
        return None
    return Workload(
        name=item.name,
        uid=0,
        kind=item.kind,
        spec=item.container,
        revision=0,
        desired_seq=0,
        created_at=0,
        desired=item.desired,
        labels=item.labels,
        depends_on=item.depends_on,
        drift=item.drift,
    )
