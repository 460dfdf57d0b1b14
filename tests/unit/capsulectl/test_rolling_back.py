"""What is sent once a plan was agreed to: that plan's entry, and of everything that nothing else was declared since."""

from types import SimpleNamespace
from typing import Any

import pytest

from capsule.v1 import rollback_pb2 as pb
from capsule.v1.machine_pb2 import FieldChange
from capsulectl import rollback
from capsulectl.errors import Failure


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


class Moving(Planning):
    """A machine that was declared otherwise between the plan and the yes: what it says goes back then is `then`."""

    def __init__(self, planned: pb.RollbackResponse, then: pb.RollbackResponse) -> None:
        super().__init__(planned)
        self.then = then

    def call(self, call: object, request: pb.RollbackRequest, timeout: float = 0) -> pb.RollbackResponse:
        answer = super().call(call, request, timeout)
        if not request.dry_run and request.expect_seq == self.planned.desired_seq:
            raise Failure("the machine was last changed at 12, not at 9")
        return answer if len(self.asked) == 1 else self.then


def test_a_deletion_that_ends_meanwhile_holds_nobody_up_and_another_plan_is_not_carried_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    web, new = (pb.RollbackItem(name=name, outcome="deleted") for name in ("web", "new"))
    planned = pb.RollbackResponse(to_seq=5, items=[web], desired_seq=9)
    machine = Moving(planned, pb.RollbackResponse(to_seq=5, items=[web], desired_seq=12))
    monkeypatch.setattr(rollback, "Connection", lambda capsule: machine)
    rollback.rollback("", to="7", yes=True)
    assert [(one.dry_run, one.expect_seq) for one in machine.asked] == [(True, 0), (False, 9), (True, 0), (False, 12)]
    machine = Moving(planned, pb.RollbackResponse(to_seq=5, items=[web, new], desired_seq=12))
    with pytest.raises(Failure, match="not at 9"):
        rollback.rollback("", to="7", yes=True)
    assert [one.dry_run for one in machine.asked] == [True, False, True]


def change(name: str, path: str, old: str) -> FieldChange:
    return FieldChange(name=name, op="change", path=path, old=old, new='"then"')


@pytest.mark.parametrize(
    ("before", "meanwhile", "goes"),
    [
        (change("web", "container.args", '["bad"]'), change("web", "container.args", '["a fix"]'), False),
        (change("web", "container.args", '["bad"]'), change("web", "container.user", '"a fix"'), False),
        (change("web", "container.args", '["bad"]'), None, False),
        (None, change("web", "container.args", '["a fix"]'), False),
        (change("web", "container.args", '["bad"]'), change("web", "container.args", '["bad"]'), True),
        (change("web", "status.phase", '"starting"'), change("web", "status.phase", '"running"'), True),
        (change("volume/web", "deleting", "true"), None, True),
        (change("new", "status.phase", '"running"'), change("new", "status.phase", '"failed"'), True),
    ],
)
def test_a_fix_that_was_declared_between_the_plan_and_the_yes_is_not_overwritten(
    monkeypatch: pytest.MonkeyPatch, before: FieldChange | None, meanwhile: FieldChange | None, goes: bool
) -> None:
    """What becomes of each is called the same in both plans."""
    items = [pb.RollbackItem(name="new", outcome="deleted"), pb.RollbackItem(name="web", outcome="configured")]
    planned, then = (
        pb.RollbackResponse(to_seq=5, items=items, changes=[one] if one else [], desired_seq=seq)
        for one, seq in ((before, 9), (meanwhile, 12))
    )
    machine = Moving(planned, then)
    monkeypatch.setattr(rollback, "Connection", lambda capsule: machine)
    if goes:
        rollback.rollback("", to="7", yes=True)
    else:
        with pytest.raises(Failure, match="not at 9"):
            rollback.rollback("", to="7", yes=True)
    assert [one.dry_run for one in machine.asked] == [True, False, True, *([False] if goes else [])]


@pytest.mark.parametrize(("to", "named"), [("soon", True), ("before-1", True), ("0", False), ("next week", False)])
def test_only_what_could_be_a_snapshots_name_is_taken_for_one(to: str, named: bool) -> None:
    with pytest.raises(Failure, match="is no moment") as refused:
        rollback.rollback("hello", to=to, dry_run=True)
    assert ("`previous` or `healthy`. If a volume is meant" in refused.value.message) == named
    assert ("volume/hello" in refused.value.message) == named
