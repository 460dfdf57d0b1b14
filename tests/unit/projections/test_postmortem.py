"""The report of an update: what belongs to its story, and what it says."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.codec import decode
from journal.events import (
    BootStarted,
    DaemonStarted,
    UpdateArmed,
    UpdateArming,
    UpdateBegun,
    UpdateDisarmed,
    UpdateEvidenceFound,
    UpdateRolledBack,
    UpdateStaged,
    UpdateStagingFailed,
    WorkloadStarted,
)
from journal.evidence import Evidence, Mark
from projections.fold import fold
from projections.postmortem import Postmortem, chosen, postmortems
from projections.state import Machine
from projections.stories import Stories
from tests.support.chance import struct
from tests.support.updated import LOOKED, SECOND, Tale, back, confirmed, ill_workload, init_exit, pushed, tried


def reports(tale: Tale) -> tuple[Postmortem, ...]:
    machine, stories = Machine(), Stories()
    for stored in tale.entries:
        event = decode(stored)
        stories.see(stored.header, event, machine)
        fold(machine, stored.header, event)
    stories.close(machine)
    return postmortems(stories)


def only(tale: Tale) -> Postmortem:
    (report,) = reports(tale)
    return report


def told(report: Postmortem, role: str) -> str:
    return "\n".join(one.text for one in report.timeline if one.role == role)


def test_both_boots_and_the_one_before_are_on_one_timeline() -> None:
    report = only(ill_workload())
    assert [(one.role, one.slot) for one in report.boots] == [
        ("before", "slot_a"), ("tried", "slot_b"), ("after", "slot_a"),
    ]  # fmt: skip
    assert "is on the disk, read back and whole" in told(report, "before")
    assert "PID 1 runs" in told(report, "tried") and "to be confirmed" in told(report, "tried")
    assert "goes back: workloads were not well under it" in told(report, "tried")
    assert "was rolled back: workloads were not well under it" in told(report, "after")


def test_what_happened_stands_in_its_order() -> None:
    report = only(ill_workload())
    times = [one.at for one in report.timeline]
    assert all(times) and times == sorted(times)


@pytest.mark.parametrize("by_s", [-315_576_000, -100, -1, 315_576_000])
def test_a_clock_that_is_set_changes_what_is_printed_and_no_order(by_s: int) -> None:
    report, unset = only(ill_workload(set_by_ns=by_s * SECOND)), only(ill_workload())
    assert [(one.role, one.mono_ms, one.text) for one in report.timeline] == [
        (one.role, one.mono_ms, one.text) for one in unset.timeline
    ]
    assert [one.boot for one in report.boots] == [one.boot for one in unset.boots]
    assert report.timeline[-1].at - unset.timeline[-1].at == by_s * SECOND


def test_boots_are_in_the_order_in_which_they_were_whatever_the_clock_said() -> None:
    tale = Tale()
    tale.tell(UpdateBegun("slot_b", "0.2.0", "9f", 1, "slot_a", "0.1.0", "1a"))
    for boot in ("boot-second", "boot-third"):
        tale.boots(boot, "slot_a", "0.1.0", 10)
        tale.set_by_ns -= 3_600 * SECOND
        tale.tell(DaemonStarted(mode="os", previous="clean", keeps_streaks=True), after_s=5)
    report = only(tale)
    assert [one.boot for one in report.boots] == ["boot-before", "boot-second", "boot-third"]
    assert [one.boot for one in report.timeline] == ["boot-before", "boot-second", "boot-third"]


def test_the_cause_is_there_with_what_it_rests_on() -> None:
    report = only(init_exit())
    assert (report.outcome, report.cause, report.confidence) == ("rolled-back", "init-exit", "certain")
    assert report.conclusion == "0.2.0 (9f8e7d6) went back to 0.1.0 (1a2b3c4): its PID 1 ended"
    assert "Attempted to kill init" in report.rests_on[0]
    assert report.excerpts[0].title == "the kernel's last words" and len(report.excerpts[0].lines) == 4


def test_a_boot_that_wrote_no_entry_is_told_by_its_evidence_alone() -> None:
    report = only(init_exit())
    (boot,) = [one for one in report.boots if one.role == "tried"]
    assert (boot.boot, boot.began_at) == ("boot-tried", 0)
    assert told(report, "tried").splitlines()[-1] == "PID 1 runs"


def test_a_boot_that_left_a_mark_is_one_also_where_the_boot_loader_says_nothing() -> None:
    tale = Tale()
    back(tale, Evidence("slot_b", marks=(Mark("initramfs", 3_300),), looked=LOOKED), pushed(tale))
    assert [one.role for one in only(tale).boots] == ["before", "tried", "after"]
    tale = Tale()
    back(tale, Evidence("slot_b", loader="waiting", looked=LOOKED), pushed(tale))
    assert [one.role for one in only(tale).boots] == ["before", "after"]


def test_a_boot_that_was_noted_beside_the_journal_is_not_the_one_that_told_of_it() -> None:
    tale = Tale()
    for name in ("web", "db"):
        tale.applies(name)
    begun = UpdateBegun("slot_b", "0.2.0", "9f8e7d6", 2, "slot_a", "0.1.0", "1a2b3c4", uid=77)
    tale.tell(begun, UpdateStaged(77, "b0" * 32, "c1" * 32, 1, 2), UpdateArming(77), UpdateArmed(77), after_s=1)
    tale.boots("boot-after", "slot_a", "0.1.0", 90)
    tale.tell(BootStarted("slot_b", "slot_a", "0.2.0 (9f8e7d6)", tentative=True, uid=77, boot="boot-tried"), after_s=3)
    back(tale, Evidence("slot_b", "boot-tried", loader="taken", looked=LOOKED), 77)
    report = only(tale)
    assert (report.update, report.outcome) == (77, "rolled-back")
    assert [(one.boot, one.role) for one in report.boots] == [
        ("boot-before", "before"), ("boot-tried", "tried"), ("boot-after", "after"),
    ]  # fmt: skip
    assert report.boots[-1].release == "0.1.0 (1a2b3c4)"


def test_the_kernel_before_is_that_of_a_boot_whose_kernel_is_known() -> None:
    tale = Tale()
    tale.tell(BootStarted("slot_a", "slot_a", "0.1.0", "6.1.0-30"), BootStarted("slot_a", "slot_a", "0.1.0", boot="x"))
    uid = tale.tell(UpdateBegun("slot_b", "0.2.0", "9f8e7d6", 2, "slot_a", "0.1.0", "1a2b3c4"))
    tale.boots("boot-tried", "slot_b", "0.2.0", 9)
    tale.tell(BootStarted("slot_b", "slot_a", "0.2.0", "6.1.0-31", tentative=True, uid=uid))
    (kernel,) = [one for one in only(tale).differences if one.what == "kernel"]
    assert (kernel.before, kernel.after) == ("6.1.0-30", "6.1.0-31")


def test_workloads_are_told_before_meanwhile_and_afterwards() -> None:
    states = {one.name: (one.before, one.tried, one.after) for one in only(ill_workload()).workloads}
    assert states == {"web": ("running", "backoff", "running"), "db": ("running", "running", "running")}
    assert {one.tried for one in only(init_exit()).workloads} == {""}
    assert {one.tried for one in only(confirmed()).workloads} == {"running"}


def test_what_is_different_is_listed() -> None:
    differences = {one.what: (one.before, one.after) for one in only(ill_workload()).differences}
    assert differences["version"] == ("0.1.0", "0.2.0")
    assert differences["kernel"] == ("6.1.0-30-amd64", "6.1.0-31-amd64")
    assert differences["root image"][1].startswith("sha256:c1c1")


def read_after(tale: Tale, level: tuple[tuple[str, int], ...]) -> dict[str, tuple[str, str]]:
    """What is different in what the systems of the first update read, where another was begun from its own."""
    tale.tell(UpdateBegun("slot_a", "0.3.0", "abc", 3, "slot_b", "0.2.0", "9f8e7d6", from_level=level), after_s=60)
    return {one.what: (one.before, one.after) for one in reports(tale)[0].differences if one.what.endswith("read")}


def test_what_either_system_reads_is_told_once_the_new_one_has_said_so() -> None:
    level = (("boot.started", 1), ("daemon.stopped", 1), ("format/ext4", 1), ("view/newest", 7))
    newer = (("boot.started", 2), ("daemon.stopped", 1), ("format/ext4", 1), ("view/newest", 8), ("weather.noticed", 1))
    assert read_after(confirmed(level), newer) == {
        "events read": ("boot.started 1", "boot.started 2, weather.noticed 1"),
        "view/newest read": ("7", "8"),
    }
    assert (
        read_after(confirmed(level), level) == {} == read_after(confirmed(), newer) == read_after(confirmed(level), ())
    )
    assert read_after(ill_workload(), newer) == {}


def test_one_that_is_confirmed_says_so() -> None:
    report = only(confirmed())
    assert (report.outcome, report.cause, report.failed) == ("confirmed", None, False)
    assert "boots from slot_b" in report.conclusion


@pytest.mark.parametrize(
    ("end", "outcome", "words"),
    [
        (lambda uid: UpdateStagingFailed(uid, "WRONG_HASH", "root.img is not what the manifest says"), "staging-failed", "not what the"),
        (lambda uid: UpdateDisarmed(uid, "operator"), "dropped", "taken back before it booted"),
    ],
)  # fmt: skip
def test_one_that_never_booted_says_why(end: Callable[[int], object], outcome: str, words: str) -> None:
    tale = Tale()
    uid = tale.tell(UpdateBegun("slot_b", "0.2.0", "9f", 1, "slot_a", "0.1.0", "1a"))
    tale.tell(end(uid))  # type: ignore[arg-type]
    report = only(tale)
    assert report.outcome == outcome and words in report.conclusion and report.boots[0].role == "before"


def test_one_that_goes_on_has_come_to_no_end() -> None:
    tale = Tale()
    tried(tale, pushed(tale))
    assert only(tale).outcome == "unfinished"


def test_what_happens_long_after_its_end_is_no_part_of_it() -> None:
    tale = confirmed()
    tale.tell(WorkloadStarted("web", tale.uids["web"], 3, tale.uids["web"], 9), after_s=3_600)
    assert "run 3" not in told(only(tale), "tried")


def test_a_reboot_between_push_and_arming_belongs_to_the_old_system() -> None:
    tale = Tale()
    tale.tell(UpdateBegun("slot_b", "0.2.0", "9f", 1, "slot_a", "0.1.0", "1a"))
    tale.boots("boot-between", "slot_a", "0.1.0", 10)
    tale.tell(DaemonStarted(mode="os", previous="clean", keeps_streaks=True), BootStarted("slot_a", "slot_a", "0.1.0"))
    assert {one.role for one in only(tale).boots} == {"before"}


def test_each_update_has_a_report_of_its_own_and_the_newest_that_failed_is_the_one_meant() -> None:
    tale = init_exit()
    first = only(tale).update
    second = tale.tell(UpdateBegun("slot_b", "0.3.0", "abc", 1, "slot_a", "0.1.0", "1a"), after_s=60)
    found = reports(tale)
    assert [one.update for one in found] == [first, second]
    assert "0.3.0" not in told(found[0], "after")

    def asked(word: str) -> int:
        report = chosen(found, word)
        return 0 if report is None else report.update

    assert [asked(word) for word in ("", "0.3.0", "abc", str(first), "0.2.0", "9.9")] == [
        first, second, second, first, first, 0,
    ]  # fmt: skip
    assert chosen((), "") is None


@settings(max_examples=60)
@given(st.data())
def test_whatever_the_evidence_there_is_a_report(data: st.DataObject) -> None:
    tale = Tale()
    uid = pushed(tale)
    tale.boots("boot-after", "slot_a", "0.1.0", 11)
    found = data.draw(struct(UpdateEvidenceFound))
    rolled = data.draw(struct(UpdateRolledBack))
    tale.tell(
        UpdateEvidenceFound(uid, found.evidence),
        UpdateRolledBack(uid, rolled.cause, rolled.message, rolled.confidence, rolled.evidence, rolled.looked_for),
    )
    report = only(tale)
    assert report.outcome == "rolled-back" and report.timeline
