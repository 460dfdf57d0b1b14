"""`capsulectl journal truncate` by boots: the one that is named stays whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from capsuled.layout import hosted
from journal.events import DaemonStarted, VolumeApplied
from tests.support.entries import Ledger, keep
from tests.support.house import standing
from tests.support.operators import Operator


def three_boots() -> Ledger:
    """Each of two daemons, with a volume each: four entries."""
    ledger = Ledger()
    for boot in ("first", "second", "third"):
        ledger.boot = boot
        for part in range(2):
            ledger.add(DaemonStarted(mode="hosted", previous="clean"))
            ledger.add(VolumeApplied(f"{boot}-{part}", 1 << 30, created=True))
    return ledger


@pytest.fixture
def anna(tmp_path: Path) -> Iterator[Operator]:
    """Of a machine that booted three times before."""
    keep(hosted(tmp_path / "state").journal, three_boots().entries)
    with standing(tmp_path / "state") as house:
        operator = Operator(tmp_path / "config")
        operator.good("adopt", house.address, "--yes")
        yield operator


def test_the_boot_that_is_named_stays_whole(anna: Operator, tmp_path: Path) -> None:
    archive = tmp_path / "old.capsule"
    cut = ("journal", "truncate", "--export", str(archive), "--before")
    assert anna.ctl(*cut, "boot:-2", "--dry-run").stderr == f"entries 1 to 4 would go, to {archive}\n"
    assert anna.ctl(*cut, "boot:-1", "--dry-run").stderr == f"entries 1 to 8 would go, to {archive}\n"
    assert anna.good(*cut, "boot:-2", "--yes") == "4 entries cut; history begins with entry 5\n"
    assert anna.good("history", "--boot", "-2", "-o", "name").split() == ["5", "6", "7", "8"]


def test_before_the_first_boot_that_is_remembered_nothing_is_cut(anna: Operator, tmp_path: Path) -> None:
    cut = ("journal", "truncate", "--export", str(tmp_path / "old.capsule"), "--force", "--yes", "--before")
    first = anna.ctl(*cut, "boot:-3")
    assert first.returncode == 1 and "nothing is older than that" in first.stderr
    unknown = anna.ctl(*cut, "boot:-4")
    assert unknown.returncode == 1 and "3 boots before this one are remembered" in unknown.stderr
    assert not (tmp_path / "old.capsule").exists()
    anna.good(*cut, "5")
    (tmp_path / "old.capsule").unlink()
    again = anna.ctl(*cut, "boot:-2")
    assert again.returncode == 1 and "history begins at entry 5" in again.stderr
    assert not (tmp_path / "old.capsule").exists()


def test_what_is_left_of_a_boot_whose_beginning_was_cut_off_goes_too(anna: Operator, tmp_path: Path) -> None:
    cut = ("journal", "truncate", "--yes", "--before")
    anna.good(*cut, "4", "--export", str(tmp_path / "one.capsule"))
    done = anna.good(*cut, "boot:-2", "--export", str(tmp_path / "two.capsule"))
    assert "history begins with entry 5" in done
