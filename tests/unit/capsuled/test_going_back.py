"""What a rollback is said to do before it is done, and what a system must read to be gone back to."""

from pathlib import Path

from capsuled.services.updates import prospect_text
from capsuled.updates import level
from capsuled.updates.updates import Prospect
from journal.reader import Reader
from projections.updates import current
from tests.support.entries import Ledger, keep
from tests.unit.projections.test_update_calls import on_trial


def test_what_would_happen_is_said_in_the_order_in_which_it_matters() -> None:
    update = current(on_trial().machine)
    assert update is not None
    ended = prospect_text(Prospect("ended", update), with_data=False)
    assert ended == f"the trial of update {update.uid} ends: the machine is started anew with 0.0.1 (aaa)."
    assert "is dropped before it was booted" in prospect_text(Prospect("dropped", update), with_data=False)
    frozen = prospect_text(Prospect("tried", update, ("weather.decreed",)), with_data=False)
    assert "started anew with 0.0.1 (aaa), on trial. It cannot read" in frozen
    assert "(weather.decreed), and freezes: it starts no workload" in frozen
    kept = prospect_text(Prospect("ended", update, keeps=("db", "web")), with_data=True)
    assert kept.endswith(f"As they were before update {update.uid}: db, web; what is there now is kept as a snapshot.")


def test_what_must_be_read_is_what_stands_in_the_journal_also_of_what_only_a_newer_release_knows(
    tmp_path: Path,
) -> None:
    ledger = Ledger()
    ledger.forge("weather.decreed", {"sky": "grey"}, "must", version=3)
    ledger.forge("weather.noticed", {"sky": "grey"}, "may")
    keep(tmp_path, ledger.entries)
    reader = Reader.open(tmp_path)
    found = dict(level.standing(reader))
    reader.close()
    assert found["weather.decreed"] == 3 and "weather.noticed" not in found
    assert {name for name in found if "/" not in name} == {"weather.decreed"}
    assert found["format/containerd"] == dict(level.own())["format/containerd"]
