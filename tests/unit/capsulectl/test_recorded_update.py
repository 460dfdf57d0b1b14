"""The archive of a machine that was really updated (the built disk under QEMU): a system whose PID 1 ends at once was
pushed, booted once, and left. It is never recorded again; what it tells stays the same."""

from pathlib import Path

from capsulectl.postmortem import archived_report
from capsulectl.postmortem_text import SHOWN, text
from projections.postmortem import Postmortem
from projections.stories import Role

GOLDEN = Path(__file__).parent / "golden/init-exit.capsule"


def report() -> Postmortem:
    with GOLDEN.open("rb") as source:
        return archived_report(source, "")


def told(found: Postmortem, role: Role) -> list[str]:
    return [one.text for one in found.timeline if one.role == role]


def test_why_it_went_back_is_certain_and_rests_on_the_kernels_last_words() -> None:
    found = report()
    assert (found.outcome, found.cause, found.confidence) == ("rolled-back", "init-exit", "certain")
    assert "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100" in found.rests_on[0]
    assert found.rests_on[1].startswith("the last stage it reached was `root`")
    assert any(f"tentative boot of update {found.update} (slot_b)" in line for line in found.excerpts[0].lines)


def test_both_systems_and_their_boots_are_told() -> None:
    found = report()
    assert (found.version, found.commit, found.slot, found.from_slot) == ("0.0.2", "bad1234", "slot_b", "slot_a")
    assert [(one.role, one.slot) for one in found.boots] == [
        ("before", "slot_a"), ("tried", "slot_b"), ("after", "slot_a"),
    ]  # fmt: skip
    assert told(found, "tried") == ["the initramfs runs and has found the disk", "the root is mounted"]
    before = " ".join(told(found, "before"))
    assert "slot_b is written" in before and "read back and whole" in before and "once" in before
    assert any("was rolled back: its PID 1 ended" in one for one in told(found, "after"))


def test_a_terminal_is_shown_the_last_lines_of_a_log_and_all_of_them_when_asked() -> None:
    found = report()
    short, whole = list(text(found, wide=False)), list(text(found, wide=True))
    assert sum(line.startswith("  | ") for line in short) == SHOWN
    assert sum(line.startswith("  | ") for line in whole) == len(found.excerpts[0].lines) > SHOWN
    assert any("`-o wide` has all" in line for line in short)


def test_the_workload_ran_before_and_after() -> None:
    (counter,) = report().workloads
    assert (counter.name, counter.before, counter.tried, counter.after) == ("counter", "running", "", "running")
