"""Updates under power cuts: at every step there is, of every way that a new system can go."""

import asyncio

import pytest

from capsuled.updates.receiving import Options
from effects.slots.protocol import LoaderFailed
from journal.events import UpdateReturning, UpdateRolledBack, VolumeRestored
from journal.sidelog import SECTORS, Emergency
from projections.update_phases import UpdatePhase
from tests.simulation.slot_stories import AGAIN, BY_ITSELF, FREEZING, judge_end, told
from tests.simulation.slots import BEHAVIOURS, FIRST, NEWER, WINDOW_S, Box, Life


def lived(lives: list[Life], cut_at: int = 0, after: int = 3) -> Box:
    """These boots, and so many in which nobody does anything."""

    async def main() -> Box:
        box = Box(cut_at)
        for life in (*lives, *[Life(confirms=False)] * after):
            await box.boot(life)
        return box

    return asyncio.run(main())


def ends_of(box: Box) -> list[UpdatePhase]:
    return [update.phase for update in box.machine.updates.values()]


def test_a_good_system_stays_and_every_other_one_is_left_without_anybodys_help() -> None:
    for behaviour in BEHAVIOURS:
        box = lived([Life(push=behaviour), Life()])
        judge_end(box)
        good = behaviour == "good"
        assert ends_of(box) == [UpdatePhase.CONFIRMED if good else UpdatePhase.ROLLED_BACK], behaviour
        assert box.boots[-1][0] == ("slot_b" if good else "slot_a"), behaviour
    box = lived([Life(push="good", options=BY_ITSELF), Life(confirms=False)])
    assert ends_of(box) == [UpdatePhase.CONFIRMED] and box.boots[-1] == ("slot_b", "slot_b")


def test_a_firmware_that_cannot_write_boots_what_it_booted_before_and_the_daemon_takes_the_one_shot_back() -> None:
    box = lived([Life(push="good"), Life(mute=True)])
    judge_end(box)
    (update,) = box.machine.updates.values()
    assert (update.phase, update.cause) == (UpdatePhase.ROLLED_BACK, "never-booted")
    assert box.boots[1:] == [("slot_a", "slot_a")] * 4
    box = lived([Life(push="good"), Life(mute=True), Life(push="good", options=AGAIN), Life()])
    judge_end(box)
    assert ends_of(box) == [UpdatePhase.ROLLED_BACK, UpdatePhase.CONFIRMED]


def test_what_runs_in_place_of_the_default_is_never_written_over_whenever_the_power_goes() -> None:
    """And is the default itself before the slot beside it is written, which was the default."""
    anew = Options(window_s=WINDOW_S, retry=True, allow_downgrade=True)
    lives = [Life(push="good"), Life(confirms=False), Life(push="good", options=anew, unread=True), Life()]
    whole = lived(lives)
    judge_end(whole)
    assert [event.runs for _, event in whole.stored if isinstance(event, UpdateRolledBack)] == ["slot_b"]
    assert whole.boots[2] == ("slot_b", "slot_a") and whole.boots[-1] == ("slot_a", "slot_a")
    for cut_at in range(1, whole.steps + 1):
        judge_end(lived([*lives, Life(push="good", options=anew), Life()], cut_at))


@pytest.mark.parametrize("life", [Life(confirms=False), Life(goes_back=True), Life()])
def test_a_trial_behind_which_the_default_cannot_be_loaded_ends_with_what_is_so(life: Life) -> None:
    first = [Life(push="good"), life]
    for cut_at in range(1, lived(first, after=0).steps + 1):
        judge_end(lived([*first, Life(unread=True)], cut_at))
        judge_end(lived([*first, Life(mute=True, unread=True)], cut_at))


def test_a_good_system_that_nobody_confirms_is_left_when_its_time_is_over() -> None:
    box = lived([Life(push="good"), Life(confirms=False)])
    judge_end(box)
    (update,) = box.machine.updates.values()
    assert (update.phase, update.cause) == (UpdatePhase.ROLLED_BACK, "not-confirmed")


def test_what_was_confirmed_can_be_left_for_the_system_before_by_a_trial_of_that_one() -> None:
    box = lived([Life(push="good"), Life(), Life(goes_back=True), Life()])
    judge_end(box)
    assert ends_of(box) == [UpdatePhase.CONFIRMED] * 2 and box.boots[-1] == ("slot_a", "slot_a")
    assert box.disk.content["slot_a", "root.img"] == FIRST


def test_a_confirmation_that_was_admitted_holds_whenever_its_operator_changes_his_mind() -> None:
    for hesitates in range(40):
        box = lived([Life(push="good"), Life(goes_back=True, hesitates=hesitates)])
        judge_end(box)
        assert ends_of(box)[0] is UpdatePhase.CONFIRMED and box.boots[-1] == ("slot_b", "slot_b"), hesitates


def test_where_the_loaders_variables_cannot_be_written_the_system_before_is_back_when_the_time_is_over() -> None:
    async def main() -> Box:
        box = Box()
        await box.boot(Life(push="good"))
        box.disk.fails = "variables"
        await box.boot(Life())
        await box.boot(Life(confirms=False))
        return box

    box = asyncio.run(main())
    judge_end(box)
    (update,) = box.machine.updates.values()
    assert update.phase is UpdatePhase.ROLLED_BACK and box.boots[-1] == ("slot_a", "slot_a")


def test_a_system_that_would_freeze_is_gone_back_to_only_when_that_is_said() -> None:
    box = lived([*FREEZING[:2], Life(goes_back=True)])
    assert ends_of(box) == [UpdatePhase.CONFIRMED] and box.boots[-1] == ("slot_b", "slot_b")


def test_a_frozen_system_can_be_left_kept_and_replaced_and_the_next_that_can_write_tells_of_it() -> None:
    box = lived([*FREEZING, Life(goes_back=True, confirms=False)])
    judge_end(box)
    assert ends_of(box) == [UpdatePhase.CONFIRMED, UpdatePhase.ROLLED_BACK] and box.boots[-1][0] == "slot_b"
    assert list(box.machine.updates.values())[-1].cause == "operator"

    box = lived([*FREEZING, Life(confirms=False)])
    assert list(box.machine.updates.values())[-1].cause == "state-lost" and box.boots[-1][0] == "slot_b"

    box = lived([*FREEZING, Life()])
    assert box.boots[-1] == ("slot_a", "slot_a") and box.disk.content["slot_a", "root.img"] == FIRST

    box = lived([*FREEZING, Life(), Life(push="panics, newer"), Life(), Life(push=NEWER, options=AGAIN), Life()])
    judge_end(box)
    assert box.boots[-1] == ("slot_b", "slot_b") and ends_of(box) == [
        UpdatePhase.CONFIRMED, UpdatePhase.CONFIRMED, UpdatePhase.ROLLED_BACK, UpdatePhase.CONFIRMED,
    ]  # fmt: skip


def test_power_that_goes_at_any_step_of_a_frozen_system_leaves_one_that_can_be_replaced() -> None:
    again = [Life(push=NEWER, options=AGAIN), Life()]
    lives = [*FREEZING, Life(), *again]
    before, whole = lived(FREEZING, after=0).steps, lived(lives, after=1).steps
    assert whole > before + 30
    for cut_at in range(before + 1, whole + 1):
        box = lived([*lives, *again, *again], cut_at)
        try:
            judge_end(box)
            assert "newer" in box.system(box.boots[-1][0])  # type: ignore[arg-type]
            assert not box.side_log.records()
        except AssertionError as error:
            raise AssertionError(f"cut at step {cut_at}: {error}; {box.boots}; {box.trail[:cut_at][-6:]}") from error


KEEPS = Options(window_s=WINDOW_S, keeps=("db",), snapshot="before-update-1")


def test_a_volume_that_was_kept_is_as_it_was_where_that_is_asked_for_and_else_stays_as_it_is() -> None:
    kept = "written in boot 1"
    for with_data in (True, False):
        box = lived([Life(push="good", options=KEEPS), Life(confirms=False, goes_back=True, with_data=with_data)])
        judge_end(box)
        assert box.boots[2][0] == "slot_a" and box.found[:3] == [
            "empty",
            kept,
            kept if with_data else "written in boot 2",
        ]

        box = lived([Life(push="good", options=KEEPS), Life(), Life(goes_back=True, with_data=with_data), Life()])
        judge_end(box)
        assert box.boots[3][0] == "slot_a" and box.found[3] == (kept if with_data else "written in boot 3")


def test_power_that_goes_at_any_step_brings_a_volume_back_only_where_that_was_asked_for_and_then_always() -> None:
    lives = [Life(push="good", options=KEEPS), Life(confirms=False, goes_back=True, with_data=True)]
    whole, seen = lived(lives, after=1).steps, set()
    for cut_at in range(1, whole + 1):
        box = lived(lives, cut_at)
        judge_end(box)
        asked = any(isinstance(event, UpdateReturning) and event.with_data for _, event in box.stored)
        brought = [event for _, event in box.stored if isinstance(event, VolumeRestored)]
        assert len(brought) == asked, (cut_at, box.found, box.trail[:cut_at][-6:])
        seen.add(asked)
    assert seen == {True, False}


def test_a_volume_that_was_to_be_brought_back_when_the_journal_took_nothing_is_so_with_the_next_system_that_can() -> (
    None
):
    lives = [Life(push="good", options=KEEPS), Life(confirms=False, goes_back=True, with_data=True)]
    box = lived([*lives, Life(closed=True, push="good", options=AGAIN), Life()])
    judge_end(box)
    assert ends_of(box) == [UpdatePhase.ROLLED_BACK, UpdatePhase.CONFIRMED], "the way to the next update was open"
    assert box.found[:3] == ["empty", "written in boot 1", "written in boot 1"]


def test_however_little_room_the_side_log_has_whatever_is_begun_beside_the_journal_comes_to_its_end() -> None:
    again = Life(push=NEWER, options=AGAIN)

    async def main(free: int) -> Box:
        box = Box()
        for life in FREEZING:
            await box.boot(life)
        stops = [Emergency("stop", f"web{number}") for number in range(SECTORS - free)]
        for stop in stops:
            box.side_log.append(stop)
        for life in (Life(), again, Life()):
            await box.boot(life)
        in_the_frozen_one = box.boots[-1][0] == "slot_a"
        for life in (Life(goes_back=in_the_frozen_one, freezes=True), Life(), Life(confirms=False)):
            await box.boot(life)
        box.side_log.forget(stops)
        return box

    ways = []
    for free in range(24):
        box = asyncio.run(main(free))
        judge_end(box)
        ways.append([(update.kind, update.phase.value) for update in box.machine.updates.values()][1:])
    not_kept, kept, pushed = ("rollback", "rolled-back"), ("rollback", "confirmed"), ("push", "confirmed")
    assert ways[0][0] == not_kept and ways[-1][:2] == [kept, pushed], ways
    assert [kept, kept] in ways, "where there is no room to push there is some to go back"
    assert all(one[0] == not_kept or one[1] in (kept, pushed) for one in ways), ways


class Filling(Box):
    """The journal takes nothing but what has a reserve, once `point` is reached."""

    def __init__(self, point: str) -> None:
        super().__init__()
        self.point = point

    async def step(self, point: str) -> None:
        """See Box."""
        await super().step(point)
        self.full = self.full or point == self.point


@pytest.mark.parametrize(("point", "ends"), [("slot.read", UpdatePhase.FAILED), ("loader.write", UpdatePhase.ARMED)])
def test_a_push_that_the_journal_cannot_take_to_its_end_is_over_all_the_same(point: str, ends: UpdatePhase) -> None:
    box = Filling(point)
    asyncio.run(box.boot(Life(push="good")))
    assert ends_of(box) == [ends]


class LateFailing(Box):
    """The variables are on the disk, and it says that they are not; `then` is what it refuses from there on."""

    then: str | None = None

    async def step(self, point: str) -> None:
        """See Box."""
        await super().step(point)
        if point == "loader.written" and self.then is not None:
            self.disk.fails = self.then
            raise LoaderFailed("the disk says that it took nothing")


@pytest.mark.parametrize(("then", "ends"), [("", UpdatePhase.ROLLED_BACK), ("variables", UpdatePhase.CONFIRMED)])
def test_a_confirmation_that_failed_and_stands_on_the_disk_is_taken_back_or_told(then: str, ends: UpdatePhase) -> None:
    async def main() -> Box:
        box = LateFailing()
        await box.boot(Life(push="good", options=BY_ITSELF))
        box.then = then
        await box.boot(Life(confirms=False))
        box.then, box.disk.fails = None, ""
        await box.boot(Life(confirms=False))
        return box

    box = asyncio.run(main())
    judge_end(box)
    assert ends_of(box) == [ends] and box.boots[-1][0] == ("slot_b" if ends is UpdatePhase.CONFIRMED else "slot_a")


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_power_that_goes_at_any_step_leaves_the_old_system_or_the_new_one(behaviour: str) -> None:
    lives = [Life(push=behaviour), Life(), Life(goes_back=behaviour == "good")]
    whole = lived(lives, after=1).steps
    assert whole > 15
    seen = set()
    for cut_at in range(1, whole + 1):
        box = lived(lives, cut_at)
        try:
            judge_end(box)
        except AssertionError as error:
            raise AssertionError(f"cut at step {cut_at}: {error}; {box.boots}; {box.trail[:cut_at][-6:]}") from error
        seen.add(box.boots[-1][0])
    assert seen == ({"slot_a", "slot_b"} if behaviour == "good" else {"slot_a"})


def test_a_seeds_story_of_updates_is_the_same_each_time() -> None:
    first, second = told(3), told(3)
    assert (first.boots, first.trail, first.found) == (second.boots, second.trail, second.found)
