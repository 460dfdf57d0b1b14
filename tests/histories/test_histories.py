"""What a release wrote, this one folds to the very same state."""

import subprocess
import sys
from collections import Counter

import pytest

from journal.codec import decode
from journal.entry import genesis
from journal.events import EVENT_TYPES, BootStarted, JournalCheckpointed, UpdateBegun, WorkloadApplied, type_of
from journal.head import Head
from journal.release import RELEASE
from journal.verify import check_entries
from projections.describe import describe
from projections.encoding import decode_state, encode_state
from projections.fold import fold, replay
from projections.views import VIEWS, state_hash
from tests.histories.recorded import HERE, base_of, events_of, facts_of, folded_of, record_of, releases
from tests.histories.schema import complaints, lock_of, locks, schema

every_release = pytest.mark.parametrize("release", releases())


def test_histories_begin_with_the_first_release() -> None:
    assert releases()[0] == "0.0.1" and locks()[0] == "0.0.1"


@every_release
def test_a_recorded_history_folds_to_the_state_it_folded_to_when_it_was_recorded(release: str) -> None:
    record = record_of(release)
    machine = replay(*folded_of(release))
    assert state_hash(machine, record.view) == record.state_hash, (
        f"today's fold makes another state of release {release}'s history than {release} did. Entries mean for ever what "
        "they meant: make the fold decide by a new event version or a new field, and never record the history again"
    )


@every_release
def test_a_recorded_history_is_whole_down_to_its_first_link(release: str) -> None:
    from journal.archive import Archive

    record = record_of(release)
    facts = facts_of(release)
    with (HERE / f"{release}.capsule").open("rb") as source:
        journal_id = Archive(source).journal_id
    base, first = base_of(release), facts[0].header.seq
    link = genesis(journal_id) if first == 1 else _cut_head(release, first - 1)
    report = check_entries(facts, first, link, bases=[Head(base.seq, base.head)] if base else ())
    assert report.whole and not report.unreadable
    assert (report.checked, report.head_hash) == (record.entries, record.head)


def _cut_head(release: str, upto: int) -> bytes:
    """The last entry that went, by the checkpoint that it went with."""
    told = (event for _, event in events_of(release) if isinstance(event, JournalCheckpointed) and event.upto == upto)
    return bytes.fromhex(next(told).head_hash)


@every_release
def test_a_recorded_history_may_be_folded_in_two_parts_with_a_snapshot_between(release: str) -> None:
    record = record_of(release)
    events, _ = folded_of(release)
    for cut in range(0, len(events), 19):
        machine = decode_state(encode_state(replay(events[:cut], folded_of(release)[1])))
        for header, event in events[cut:]:
            fold(machine, header, event)
        assert state_hash(machine, record.view) == record.state_hash, f"cut behind {cut}"


@every_release
def test_every_entry_of_a_recorded_history_can_still_be_told(release: str) -> None:
    for stored in facts_of(release):
        text = describe(stored.header, decode(stored), stored.excised)
        assert text and "newer release" not in text and text != stored.header.type, stored.header


@every_release
def test_a_recorded_history_can_be_hashed_in_every_view_from_its_own_on(release: str) -> None:
    machine = replay(*folded_of(release))
    assert all(len(state_hash(machine, view)) == 64 for view in VIEWS if view >= record_of(release).view)


def test_the_first_history_tells_of_everything_that_could_happen_in_it() -> None:
    told = Counter(header.type for header, _ in events_of("0.0.1"))
    # Excision and checkpoints have no verb yet, and reads stand in the audit stream.
    assert set(lock_of("0.0.1")["events"]) - told.keys() == {"call.read", "journal.excised", "journal.checkpointed"}


def test_the_second_history_tells_of_what_came_after_the_first_and_the_third_of_what_went() -> None:
    told = {header.type for header, _ in events_of("0.0.1-features")}
    kinds = {kind.partition(".")[0] for kind in told}
    assert kinds >= {"secret", "volume", "snapshot", "network", "registry", "operator", "drift", "rollback"}
    microvms = [event for _, event in events_of("0.0.1-features") if isinstance(event, WorkloadApplied)]
    assert any(item.kind == "microvm" for event in microvms for item in event.items)
    assert {"workload.health_changed", "image.removed", "volume.restored", "stream.closed"} <= told
    cut = events_of("0.0.1-cut")
    assert cut[0][0].seq > 1 and "journal.checkpointed" in {header.type for header, _ in cut}


def test_the_history_of_losses_tells_of_what_a_registry_gave_another_hand_took_and_another_machine_took_over() -> None:
    events = events_of("0.0.1-losses")
    told = {header.type for header, _ in events}
    assert {"image.pulled", "image.lost", "registry.configured", "effect.failed", "effect.abandoned"} <= told
    assert {"volume.drifted", "volume.lost", "journal.restored"} <= told
    (restored,) = [header.seq for header, _ in events if header.type == "journal.restored"]
    assert 1 < restored < events[-1][0].seq and len({header.boot for header, _ in events}) == 1


def test_the_history_of_updates_tells_of_all_that_an_update_can_come_to() -> None:
    events = events_of("0.0.1-updates")
    told = {header.type for header, _ in events}
    assert {type_of(kind) for kind in EVENT_TYPES if type_of(kind).startswith("update.")} <= told
    assert {"boot.started", "volume.restored"} <= told
    begun = [event for _, event in events if isinstance(event, UpdateBegun)]
    assert any(one.keeps for one in begun) and any(one.uid for one in begun)
    assert any(isinstance(event, BootStarted) and event.boot for _, event in events)
    machine = replay(*folded_of("0.0.1-updates"))
    phases = {one.phase.value for one in machine.updates.values()}
    assert phases == {"rolled-back", "confirmed", "failed", "dropped"}


def test_the_histories_of_0_1_0_tell_of_everything_that_a_capsule_can_remember() -> None:
    own = [name for name in releases() if name.partition("-")[0] == "0.1.0"]
    assert [name.partition("-")[2] for name in own] == ["", "booted", "cut", "features", "losses", "updates"]
    told = {header.type for name in own for header, _ in events_of(name)}
    # Reads stand in the audit stream; and a disk whose growth fails is a broken one.
    assert set(lock_of("0.1.0")["events"]) - told == {"call.read", "disk.growth_failed"}


def test_this_release_has_histories_of_its_own() -> None:
    assert RELEASE in releases() and RELEASE in locks()


def test_a_history_is_never_recorded_again() -> None:
    before = {path: path.read_bytes() for path in HERE.iterdir() if path.is_file()}
    for module, words in (("record", "never recorded again"), ("schema", "does not change any more")):
        for name in ("0.0.1", "0.0.1-features"):
            command = [sys.executable, "-m", f"tests.histories.{module}", name]
            done = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True, check=False)
            assert done.returncode == 1 and words in done.stderr
    assert before == {path: path.read_bytes() for path in HERE.iterdir() if path.is_file()}


@pytest.mark.parametrize("release", locks())
def test_what_a_release_wrote_can_still_be_read_as_it_was_meant(release: str) -> None:
    from journal.codec import UPCASTERS

    wrong = complaints(lock_of(release), schema(), UPCASTERS.keys())
    assert not wrong, f"the entries of release {release} would not mean what they meant:\n" + "\n".join(wrong)


def test_the_lock_knows_every_event_of_today() -> None:
    assert set(schema()["events"]) == {type_of(kind) for kind in EVENT_TYPES}
