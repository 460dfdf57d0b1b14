"""The table of an update's phases: what it allows, and that whatever it does not allow changes nothing."""

import itertools

import pytest

from projections.update_phases import ENDS, ON_TRIAL, TABLE, IllegalMove, UpdateMove, UpdatePhase, advance, can

ALL = list(itertools.product(UpdatePhase, UpdateMove))


@pytest.mark.parametrize(("phase", "move"), ALL)
def test_a_move_leads_where_the_table_says_or_is_illegal(phase: UpdatePhase, move: UpdateMove) -> None:
    if can(phase, move):
        assert advance(phase, move) is TABLE[phase, move]
    else:
        with pytest.raises(IllegalMove, match=f"an update that is {phase} cannot {move}"):
            advance(phase, move)


def test_an_end_is_an_end_and_every_other_phase_leads_to_one() -> None:
    assert not any(can(phase, move) for phase in ENDS for move in UpdateMove)
    for phase in UpdatePhase:
        reached, waiting = set(), [phase]
        while waiting:
            one = waiting.pop()
            reached.add(one)
            waiting += [after for (before, _), after in TABLE.items() if before is one and after not in reached]
        assert reached & ENDS, phase


def test_nothing_is_confirmed_that_was_not_booted_and_announced() -> None:
    assert [phase for phase, move in TABLE if move is UpdateMove.CONFIRMED] == [UpdatePhase.CONFIRMING]
    into = {(phase, move) for (phase, move), after in TABLE.items() if after is UpdatePhase.CONFIRMING}
    said = {phase for phase, move in into if move is not UpdateMove.FIND}
    assert said == {UpdatePhase.TENTATIVE, UpdatePhase.CONFIRMING}


def test_whatever_is_on_trial_can_be_rolled_back() -> None:
    assert all(can(phase, UpdateMove.ROLL_BACK) for phase in ON_TRIAL)
