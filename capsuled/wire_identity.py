"""Operators' keys as clients see them. Pure."""

from typing import Any

from capsule.v1 import identity_pb2 as pb
from journal.specs import Role
from projections.state import Operator

ROLES: dict[int, Role] = {
    pb.OPERATOR_ROLE_ADMIN: "admin",
    pb.OPERATOR_ROLE_OPERATOR: "operator",
    pb.OPERATOR_ROLE_READER: "reader",
}
ROLES_OUT: dict[str, Any] = {role: number for number, role in ROLES.items()}


def key_message(operator: Operator) -> pb.AuthorizedKey:
    """A key as clients see it."""
    return pb.AuthorizedKey(
        kid=operator.kid,
        name=operator.name,
        added_by_kid=operator.added_by,
        added_at_unix=operator.added_at // 1_000_000_000,
        role=ROLES_OUT[operator.role],
    )
