"""What an operator is told of a capsule that did not answer."""

import grpc
import pytest

from capsulectl.connection import failure_of


class Broken:
    """An error as gRPC raises it for a connection."""

    def __init__(self, details: str) -> None:
        self._details = details

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> None:
        return None


@pytest.mark.parametrize(("details", "may_be_done"), [("Socket closed", True), ("failed to connect to all", False)])
def test_a_call_that_broke_off_may_have_been_done(details: str, may_be_done: bool) -> None:
    told = failure_of(Broken(details), "unix:/nonexistent").message
    assert told.startswith("the capsule does not answer at unix:/nonexistent: ")
    assert ("`capsulectl history` tells" in told) is may_be_done
