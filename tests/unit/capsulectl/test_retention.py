"""`journal truncate --before`: the moment's entry is asked for, and nothing of the machine as it was beside it."""

from types import SimpleNamespace
from typing import Any

from capsule.v1 import history_pb2 as pb
from capsulectl.retention import _upto


class Capsule:
    """It answers with entry 5, and has as much to tell as is asked for."""

    history = SimpleNamespace(AsOf="AsOf")
    asked: list[pb.AsOfRequest]

    def __init__(self) -> None:
        self.asked = []

    def read(self, method: str, request: pb.AsOfRequest) -> Any:
        self.asked.append(request)
        return pb.AsOfResponse(seq=5)


def test_the_entry_of_a_moment_is_asked_for_without_the_machine() -> None:
    capsule = Capsule()
    assert _upto(capsule, "2h ago") == 5  # type: ignore[arg-type]
    assert [list(one.only) for one in capsule.asked] == [["update_keys"]]
