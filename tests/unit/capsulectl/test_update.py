"""What an operator is shown of updates, in each state that they can be in."""

from collections.abc import Callable, Iterator
from itertools import chain, repeat
from types import SimpleNamespace

import pytest

from capsule.v1 import capsule_pb2, history_pb2
from capsule.v1 import update_pb2 as pb
from capsulectl import power, update, update_key, update_push
from capsulectl.contexts import Target
from capsulectl.errors import TIMED_OUT, Failure, Impostor, NotLetIn
from capsulectl.options import Common
from capsulectl.update import _after, _lines, _outcome, duration, health
from capsulectl.update_push import _went_back, push

TRIED = pb.OSUpdate(
    uid=41,
    phase="tentative",
    slot="slot_b",
    version="0.0.2",
    commit="eee",
    from_version="0.0.1",
    from_commit="abc",
    confirm_when="healthy",
    soak_seconds=120,
)
BOX = Target("unix:/nowhere", "box")
FAILED = pb.OSUpdate(uid=30, phase="rolled-back", cause="kernel-panic", confidence="likely")


def shown(**fields: object) -> dict[str, str]:
    given = {"active_slot": "slot_a", "default_slot": "slot_a", "version": "0.0.1", "commit": "abc"} | fields
    return {name: value for name, value in _lines(pb.UpdateStatus(**given)) if value}  # type: ignore[arg-type]


def test_a_machine_at_rest_shows_what_runs_and_what_became_of_the_last_update() -> None:
    assert shown() == {"Runs": "0.0.1 (abc) in slot_a"}
    assert shown(last=FAILED)["Last update"] == "30: rolled back: its kernel panicked (likely)"


def test_a_trial_shows_when_it_ends_and_what_is_wrong() -> None:
    ill = [pb.UpdateCheck(name="uplink", message="no address")]
    status = {"tentative": True, "seconds_left": 725, "current": TRIED, "judged": True, "active_slot": "slot_b"}
    found = shown(**status, failing=ill)
    assert found["Goes back"] == "in 12 min 5 s, unless it is confirmed" and found["Next boot"] == "slot_a"
    assert found["Health"] == "uplink: no address"
    assert found["Confirmed"] == "by itself, once all has been well for 2 min 0 s"
    assert shown(**status, healthy_seconds=9)["Health"] == "all has been well for 9 s"
    assert health(pb.UpdateStatus(tentative=True)) == "not judged yet"


def test_what_waits_for_its_boot_is_dropped_and_nothing_is_started_anew() -> None:
    waits = pb.OSUpdate(uid=7, phase="armed", slot="slot_b")
    assert shown(current=waits)["Next boot"] == "slot_b, once"
    kept = pb.OSUpdate(uid=7, phase="staged", snapshots=["db", "web"], snapshot="before-update-1")
    assert shown(current=kept)["Kept volumes"] == "db, web, as before-update-1"


def test_a_push_that_ends_in_the_old_system_says_why() -> None:
    last = pb.OSUpdate(uid=30, cause="kernel-panic")
    said = _went_back(SimpleNamespace(uid=30, next_slot="slot_b"), pb.UpdateStatus(active_slot="slot_a", last=last))
    assert said.startswith("update 30 went back, slot_a runs: its kernel panicked.")
    assert _outcome(pb.OSUpdate(phase="failed", message="the bundle ended")) == "failed: the bundle ended"
    assert (duration(59), duration(61)) == ("59 s", "1 min 1 s")


def test_a_rollback_says_what_then_where_something_is_still_to_happen() -> None:
    tried = (
        "once the machine is up again, `capsulectl update status` shows how it is, `capsulectl update confirm` keeps it"
    )
    for phase in ("staged", "arming", "armed"):  # the old system is tried anew
        assert _after(pb.OSUpdate(phase=phase)) == tried
    back = _after(pb.OSUpdate(phase="returning"))
    assert back == "`capsulectl update status` shows what runs, once the machine is up again"
    assert _after(pb.OSUpdate(phase="dropped")) == _after(pb.OSUpdate(phase="rolled-back")) == ""


def test_who_has_the_machine_confirm_it_needs_not_wait_for_it() -> None:
    with pytest.raises(Failure, match="waits for the new system"):
        push("update.tar", auto_confirm=5.0, confirm_when="healthy")  # type: ignore[arg-type]


def test_who_watches_for_longer_than_the_trial_lasts_is_told_before_anything_is_sent() -> None:
    with pytest.raises(Failure, match="may run unconfirmed \\(15 min 0 s\\): say a longer --window"):
        push("update.tar", auto_confirm=1200.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("confirms", [False, True])
def test_a_push_that_nobody_answers_says_what_to_do(confirms: bool) -> None:
    answer = SimpleNamespace(uid=30, next_slot="slot_b")
    with pytest.raises(Failure) as said:
        update_push.answering(BOX, answer, "boot", 0.0, confirms)
    words = str(said.value)
    assert said.value.code == TIMED_OUT and words.startswith("nobody answers after 0 s")
    assert all(one in words for one in ("`capsulectl update status`", "`capsulectl update confirm`", "--timeout"))
    assert ("nobody confirms it now" in words) is confirms


@pytest.mark.parametrize(
    ("last", "confirms"),
    [(pb.UpdateStatus(active_slot="slot_b", tentative=True, judged=True, healthy_seconds=9, seconds_left=9), True),
     (pb.UpdateStatus(active_slot="slot_b", last=pb.OSUpdate(uid=30, phase="confirmed")), False)],
    ids=["well for long enough", "confirmed by somebody else"],
)  # fmt: skip
def test_a_watch_outlives_a_question_that_is_not_answered(
    monkeypatch: pytest.MonkeyPatch, last: pb.UpdateStatus, confirms: bool
) -> None:
    ill = pb.UpdateStatus(active_slot="slot_b", tentative=True, judged=True, seconds_left=9)
    said: Iterator[pb.UpdateStatus | Failure] = chain((ill, Failure("nobody is there")), repeat(last))

    class Silent:
        """Answers all but one question."""

        updates = SimpleNamespace(Status=None)

        def read(self, *_: object, **__: object) -> pb.UpdateStatus:
            found = next(said)
            if isinstance(found, Failure):
                raise found
            return found

    monkeypatch.setattr(update_push, "Connection", lambda capsule: Silent())
    monkeypatch.setattr(update_push, "HEALTH_S", 0.0)
    answer = SimpleNamespace(uid=30, next_slot="slot_b")
    assert update_push._watch(BOX, answer, 0.001) is confirms


def watched(first: Failure, monkeypatch: pytest.MonkeyPatch) -> bool:
    """A watch whose first connection fails so, and that finds all well by the next ones."""
    well = pb.UpdateStatus(active_slot="slot_b", tentative=True, judged=True, healthy_seconds=9, seconds_left=9)
    up = SimpleNamespace(updates=SimpleNamespace(Status=None), read=lambda *_, **__: well)
    made: Iterator[object] = chain((first,), repeat(up))

    def connected(capsule: Target) -> object:
        one = next(made)
        if isinstance(one, Failure):
            raise one
        return one

    monkeypatch.setattr(update_push, "Connection", connected)
    monkeypatch.setattr(update_push, "HEALTH_S", 0.0)
    return update_push._watch(BOX, SimpleNamespace(uid=30, next_slot="slot_b"), 0.001)


def test_a_watch_outlives_a_moment_in_which_not_even_a_certificate_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none can be kept, each connection asks the machine for it first."""
    assert watched(Failure("No route to host"), monkeypatch)


@pytest.mark.parametrize("met", [Impostor("another certificate"), NotLetIn("your key was removed")])
def test_a_watch_ends_at_once_with_what_no_waiting_mends(met: Failure, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(type(met), match=met.message):
        watched(met, monkeypatch)


def test_a_machine_on_its_way_is_asked_until_it_says_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power, "Connection", lambda target: target)
    monkeypatch.setattr(power, "POLL_S", 0.0)
    changed, refused = Impostor("another certificate"), NotLetIn("your key was removed")
    said = iter((Failure("nobody is there"), None, "up", changed, refused))

    def ask(connection: object) -> str | None:
        assert connection == BOX
        found = next(said)
        if isinstance(found, Failure):
            raise found
        return found

    assert power.until_answered(BOX, 30.0, ask, "in vain") == "up"
    for at_once in (changed, refused):
        with pytest.raises(Failure) as told:
            power.until_answered(BOX, 30.0, ask, "in vain")
        assert told.value is at_once


def test_a_machine_that_does_not_come_is_told_with_what_was_met_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power, "Connection", lambda target: target)
    monkeypatch.setattr(power, "POLL_S", 0.0)

    def ask(connection: object) -> None:
        raise Failure("No route to host")

    with pytest.raises(Failure, match=r"^in vain\. What was met last: No route to host$") as told:
        power.until_answered(BOX, 0.01, ask, "in vain")
    assert told.value.code == TIMED_OUT
    with pytest.raises(Failure, match=r"^in vain$"):
        power.until_answered(BOX, 0.01, lambda connection: None, "in vain")


def test_a_system_that_runs_in_place_of_another_is_not_called_confirmed() -> None:
    answer = SimpleNamespace(uid=30, next_slot="slot_b")
    last = pb.OSUpdate(uid=30, phase="rolled-back", cause="kernel-panic", confidence="certain")
    status = pb.UpdateStatus(active_slot="slot_b", last=last)
    assert update_push._is_over(answer, status)
    assert update_push._went_back(answer, status).startswith("update 30 is not kept, though slot_b runs: ")


def test_the_trial_of_another_update_is_not_taken_for_its_own() -> None:
    answer = SimpleNamespace(uid=30, next_slot="slot_b")
    own, other = (
        pb.UpdateStatus(active_slot="slot_b", tentative=True, current=pb.OSUpdate(uid=uid)) for uid in (30, 31)
    )
    assert update_push._is_over(answer, other) and not update_push._is_over(answer, own)
    said = update_push._went_back(answer, other)
    assert said == "update 30 is not kept, though slot_b runs. `capsulectl postmortem 30` has more"
    assert not update_push._is_over(answer, pb.UpdateStatus(active_slot="slot_b", tentative=True))


class GoesBack:
    """A connection to a machine that starts anew with a rollback, if that is what the answer says, and runs `then`."""

    target = BOX
    capsule = SimpleNamespace(GetInfo="info")
    updates = SimpleNamespace(Rollback="rollback", Status="status")

    def __init__(self, answer: pb.OSUpdate, then: pb.UpdateStatus) -> None:
        self._answer, self._then, self._boots, self.silent = answer, then, 1, 0

    def call(self, call: object, request: pb.UpdateRollbackRequest, timeout: float) -> pb.UpdateRollbackResponse:
        self._boots += not request.dry_run
        return pb.UpdateRollbackResponse(message="it goes back", update=self._answer)

    def read(self, call: object, request: object, timeout: float = 0) -> object:
        if self._boots > 1 and self.silent:
            self.silent -= 1
            raise Failure("nobody is there")
        return self._then if call == "status" else capsule_pb2.GetInfoResponse(boot_id=str(self._boots))


RETURNS = pb.OSUpdate(uid=30, phase="returning", slot="slot_b")
TRIES = pb.OSUpdate(uid=31, phase="armed", slot="slot_a")
BEFORE = pb.UpdateStatus(active_slot="slot_a", version="0.0.1", commit="abc")
ON_TRIAL = pb.UpdateStatus(active_slot="slot_a", version="0.0.1", commit="abc", tentative=True, seconds_left=890)
KEPT = pb.UpdateStatus(active_slot="slot_b", version="0.0.2", commit="eee")
KEEP = "`capsulectl update status` shows how it is, `capsulectl update confirm` keeps it\n"


@pytest.fixture
def goes_back(monkeypatch: pytest.MonkeyPatch) -> Callable[[pb.OSUpdate, pb.UpdateStatus], GoesBack]:
    def there_is(answer: pb.OSUpdate, then: pb.UpdateStatus) -> GoesBack:
        machine = GoesBack(answer, then)
        for module in (power, update):
            monkeypatch.setattr(module, "Connection", lambda capsule: machine)
        monkeypatch.setattr(power, "POLL_S", 0.0)
        return machine

    return there_is


@pytest.mark.parametrize(
    ("answer", "then", "says"),
    [(RETURNS, BEFORE, "0.0.1 (abc) runs in slot_a\n"),
     (TRIES, ON_TRIAL, f"0.0.1 (abc) runs in slot_a; it goes back in 14 min 50 s unless confirmed\n{KEEP}"),
     (pb.OSUpdate(uid=32, phase="dropped"), KEPT, "")],
    ids=["a trial ends", "the system before is tried", "what waited is dropped"],
)  # fmt: skip
def test_a_rollback_waits_and_says_which_system_runs_then(
    goes_back: Callable[[pb.OSUpdate, pb.UpdateStatus], GoesBack],
    capsys: pytest.CaptureFixture[str],
    answer: pb.OSUpdate,
    then: pb.UpdateStatus,
    says: str,
) -> None:
    goes_back(answer, then).silent = 2
    update.rollback(yes=True, timeout=5.0)
    assert capsys.readouterr() == (f"{answer.uid}\n", f"it goes back\n{says}")
    goes_back(answer, then)
    update.rollback(yes=True, timeout=5.0, common=Common(quiet=True))
    assert capsys.readouterr() == (f"{answer.uid}\n", "")


def test_who_does_not_wait_for_a_rollback_is_told_what_to_look_at(
    goes_back: Callable[[pb.OSUpdate, pb.UpdateStatus], GoesBack], capsys: pytest.CaptureFixture[str]
) -> None:
    goes_back(RETURNS, BEFORE).silent = 1_000_000
    update.rollback(yes=True, wait=False)
    assert capsys.readouterr().err == f"it goes back\n{_after(RETURNS)}\n"


@pytest.mark.parametrize(
    ("answer", "then", "silent", "code", "says"),
    [(RETURNS, KEPT, 0, 1, "update 30 did not go back: 0.0.2 (eee) runs in slot_b still"),
     (TRIES, KEPT, 0, 1, "update 31 went back, slot_b runs"),
     (RETURNS, BEFORE, 1_000_000, TIMED_OUT, "nobody answers after 0.05 s (--timeout waits longer). `capsulectl update"),
     (TRIES, BEFORE, 1_000_000, TIMED_OUT, "nobody answers after 0.05 s (--timeout waits longer). `capsulectl update")],
    ids=["the trial runs still", "the system before did not come up", "silence", "silence of what is tried"],
)  # fmt: skip
def test_a_rollback_that_leads_elsewhere_says_so(
    goes_back: Callable[[pb.OSUpdate, pb.UpdateStatus], GoesBack],
    answer: pb.OSUpdate,
    then: pb.UpdateStatus,
    silent: int,
    code: int,
    says: str,
) -> None:
    goes_back(answer, then).silent = silent
    with pytest.raises(Failure) as failure:
        update.rollback(yes=True, timeout=0.05 if silent else 5.0)
    assert failure.value.code == code and failure.value.message.startswith(says), failure.value.message


def test_where_updates_stood_is_told_by_the_state_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, ...]] = []
    status = pb.UpdateStatus(active_slot="slot_a", default_slot="slot_a", version="0.0.1", commit="abc")
    past = history_pb2.AsOfResponse(
        seq=5, update_status=status, updates=[FAILED], update_keys=[pb.UpdateKey(kid="kid-9", name="builder")]
    )

    def as_of(connection: object, at: str, quiet: bool, *only: str) -> history_pb2.AsOfResponse:
        asked.append((at, *only))
        return past

    monkeypatch.setattr(update, "as_of", as_of)
    for module in (update, update_key):
        monkeypatch.setattr(module, "Connection", lambda capsule: None)
    update.status(at="5")
    update.history(at="5")
    update_key.list_(at="5")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Runs: 0.0.1 (abc) in slot_a"
    assert "rolled back: its kernel panicked (likely)" in lines[2] and lines[4].startswith("kid-9")
    assert asked == [("5", "update_status"), ("5", "update_status", "updates"), ("5", "update_status", "update_keys")]
    past.ClearField("update_keys")
    update_key.list_(at="5")
    assert "no key was enrolled: the machine took bundles that nobody signed" in capsys.readouterr().err
    past.ClearField("update_status")
    for read in (update.status, update.history, update_key.list_):
        with pytest.raises(Failure, match="no slots are known of then"):
            read(at="5")
