"""The table of a run's phases: what it allows, and that whatever it does not allow changes nothing."""

import itertools

import pytest

from projections.phases import LIVE, TABLE, IllegalMove, RunMove, RunPhase, advance, can

ALL = list(itertools.product(RunPhase, RunMove))


@pytest.mark.parametrize(("phase", "move"), ALL)
def test_a_move_leads_where_the_table_says_or_is_illegal(phase: RunPhase, move: RunMove) -> None:
    if can(phase, move):
        assert advance(phase, move) is TABLE[phase, move]
    else:
        with pytest.raises(IllegalMove, match=f"a run that is {phase} cannot {move}"):
            advance(phase, move)


def test_the_table_is_closed_and_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        TABLE[RunPhase.EXITED, RunMove.START] = RunPhase.RUNNING  # type: ignore[index]
    assert set(TABLE.values()) == set(RunPhase)


def test_an_end_is_an_end() -> None:
    for phase in (RunPhase.EXITED, RunPhase.LOST):
        assert not any(can(phase, move) for move in RunMove) and phase not in LIVE


def test_everything_that_may_exist_in_the_world_can_end_in_it() -> None:
    for phase in LIVE:
        assert advance(phase, RunMove.EXIT) is RunPhase.EXITED
        assert advance(phase, RunMove.LOSE) is RunPhase.LOST
        assert advance(phase, RunMove.STOP) is RunPhase.STOPPING


def test_what_is_stopping_never_runs_again() -> None:
    seen, waiting = set(), [RunPhase.STOPPING]
    while waiting:
        phase = waiting.pop()
        seen.add(phase)
        waiting += [target for (one, _), target in TABLE.items() if one is phase and target not in seen]
    assert seen == {RunPhase.STOPPING, RunPhase.EXITED, RunPhase.LOST}
