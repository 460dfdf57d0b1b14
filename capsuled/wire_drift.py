"""Drift as clients see it. Pure."""

from capsule.v1 import drift_pb2 as pb
from projections.drift import Difference


def difference_message(one: Difference) -> pb.Difference:
    """One difference."""
    return pb.Difference(
        object=one.object,
        aspect=one.aspect,
        label=one.label,
        what=one.what,
        since_unix_ns=one.since,
        seq=one.seq,
        message=one.message,
        then=one.then,
        next_at_unix_ns=one.next_at,
        repair=one.repair,
    )
