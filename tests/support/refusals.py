"""What a client is told beside the words of an error."""

from typing import Any


def trailing(error: Any) -> dict[str, Any]:
    """gRPC's trailing metadata of an error. The stubs know errors of none, and pairs that are no pairs."""
    return dict(error.trailing_metadata() or ())


def reason_of(error: Any) -> str:
    """The capsule's own word for why; empty when the error is not its own."""
    return str(trailing(error).get("capsule-reason", ""))
