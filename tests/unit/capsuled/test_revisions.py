"""What `workload history` lists: every declaration that said something else than the one before, and what that was."""

from pathlib import Path

from capsuled.revisions import revisions
from projections.intents import Declared
from tests.support.entries import Ledger, indexed
from tests.support.story import Story, declared


def told(directory: Path, *declarations: Declared) -> list[dict[str, tuple[str, str]]]:
    """By declaration that is listed, what it changed: old and new by path."""
    story, ledger = Story(), Ledger()
    for one in declarations:
        story.apply(one)
    for _, event in story.entries:
        ledger.add(event)
    with indexed(directory, ledger) as reader:
        found = revisions(reader, "web", ledger.seq, 0)
    return [{change.path: (change.old, change.new) for change in one.changes} for one in found]


def test_what_changes_nothing_but_the_policy_of_drift_is_listed_too(tmp_path: Path) -> None:
    found = told(tmp_path, declared("web"), declared("web", drift="report"), declared("web", drift="report"))
    assert len(found) == 2 and found[1] == {"drift": ("", '"report"')}


def test_what_changes_nothing_is_not(tmp_path: Path) -> None:
    assert len(told(tmp_path, declared("web", "1"), declared("web", "1"), declared("web", "2"))) == 2
