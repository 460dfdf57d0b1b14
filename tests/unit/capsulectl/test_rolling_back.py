"""What is sent once a plan was agreed to: that plan's entry, and of everything that nothing else was declared since."""

from types import SimpleNamespace
from typing import Any

import pytest

from capsule.v1 import rollback_pb2 as pb
from capsulectl import rollback


class Planning:
    """A connection to a machine that answers every call with the same plan."""

    rollbacks = SimpleNamespace(Rollback=None)

    def __init__(self, planned: pb.RollbackResponse) -> None:
        self.planned = planned
        self.asked: list[pb.RollbackRequest] = []

    def call(self, call: object, request: pb.RollbackRequest, timeout: float = 0) -> pb.RollbackResponse:
        asked = pb.RollbackRequest()
        asked.CopyFrom(request)
        self.asked.append(asked)
        return self.planned


def agreed(monkeypatch: pytest.MonkeyPatch, name: str, desired_seq: int = 9, **options: Any) -> pb.RollbackRequest:
    item = pb.RollbackItem(name="web", outcome="configured")
    machine = Planning(pb.RollbackResponse(to_seq=5, items=[item], desired_seq=desired_seq))
    monkeypatch.setattr(rollback, "Connection", lambda capsule: machine)
    rollback.rollback(name, to="7", yes=True, **options)
    planning, doing = machine.asked
    assert planning.dry_run and not doing.dry_run and doing.moment.seq == 5
    assert planning.HasField("expect_seq") == ("expect_seq" in options)
    return doing


def test_everything_goes_back_only_from_where_it_was_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    assert agreed(monkeypatch, "").expect_seq == 9


def test_what_was_asked_to_be_expected_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert agreed(monkeypatch, "", expect_seq=3).expect_seq == 3


def test_of_one_and_of_a_machine_that_says_nothing_of_it_nothing_is_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not agreed(monkeypatch, "web").HasField("expect_seq")
    assert not agreed(monkeypatch, "", desired_seq=0).HasField("expect_seq"), "it is an earlier release's"
