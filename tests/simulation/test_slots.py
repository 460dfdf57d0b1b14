"""Updates under power cuts: at every step there is, of every way that a new system can go."""

import asyncio
from random import Random

import pytest

from capsuled.updates.receiving import Options
from effects.slots.protocol import LoaderFailed
from journal.events import UpdateConfirmed, UpdateRolledBack
from projections.update_phases import ENDS, UpdatePhase
from tests.simulation.slots import BEHAVIOURS, FIRST, WINDOW_S, Box, Life

BY_ITSELF = Options(window_s=WINDOW_S, confirm_when="healthy", soak_s=5)


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


def judge_end(box: Box) -> None:
    """Two boots after the last cut: nothing is under way, the loader boots what the journal says, and it is known why
    whatever went back did."""
    machine = box.machine
    assert all(phase in ENDS for phase in ends_of(box)), ends_of(box)
    assert box.disk.state.next_slot is None
    assert machine.slots.active == machine.slots.default == box.disk.state.default_slot
    for _, event in box.stored:
        if isinstance(event, UpdateRolledBack):
            assert event.cause != "unknown" or event.looked_for


def test_a_good_system_stays_and_every_other_one_is_left_without_anybodys_help() -> None:
    for behaviour in BEHAVIOURS:
        box = lived([Life(push=behaviour), Life()])
        judge_end(box)
        good = behaviour == "good"
        assert ends_of(box) == [UpdatePhase.CONFIRMED if good else UpdatePhase.ROLLED_BACK], behaviour
        assert box.boots[-1][0] == ("slot_b" if good else "slot_a"), behaviour
    box = lived([Life(push="good", options=BY_ITSELF), Life(confirms=False)])
    assert ends_of(box) == [UpdatePhase.CONFIRMED] and box.boots[-1] == ("slot_b", "slot_b")


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


def test_nothing_is_confirmed_that_was_not_well_and_announced_whatever_happens(seeds: int = 60) -> None:
    """Several updates one behind the other, each with a cut somewhere."""
    for seed in range(seeds):
        chance = Random(seed)

        async def main(chance: Random = chance) -> Box:
            box = Box()
            for _ in range(chance.randint(2, 5)):
                behaviour = chance.choice(BEHAVIOURS)
                box.cut_at = box.steps + chance.randint(1, 60)
                for life in (Life(push=behaviour, options=chance.choice((BY_ITSELF, Options(window_s=WINDOW_S)))),):
                    await box.boot(life)
                await box.boot(Life(confirms=chance.random() < 0.7, goes_back=chance.random() < 0.2))
            box.cut_at = 0
            for _ in range(3):
                await box.boot(Life(confirms=False))
            return box

        box = asyncio.run(main())
        try:
            judge_end(box)
            confirmed = [event.uid for _, event in box.stored if isinstance(event, UpdateConfirmed)]
            assert len(confirmed) == len(set(confirmed))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}; {box.boots}; {box.trail[-12:]}") from error
