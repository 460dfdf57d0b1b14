"""How PID 1 judges its daemon."""

import pytest

from init.life import CAP_DELAY_S, FIRST_DELAY_S, GIVE_UP_AFTER, RESCUE_AFTER, SILENCE_S, STABLE_S, START_S, Life


def test_one_that_says_nothing_counts_as_hung_after_its_start() -> None:
    life = Life()
    assert life.hung_at() is None
    life.starts(100.0)
    assert life.hung_at() == 100.0 + START_S


def test_every_word_moves_the_moment_and_a_long_wait_is_waited_for() -> None:
    life = Life()
    life.starts(0.0)
    life.hears(10.0, "wait", 600)
    assert life.hung_at() == 610.0
    life.hears(20.0, "alive", 0)
    assert life.hung_at() == 20.0 + SILENCE_S


def test_a_long_wait_is_taken_back_by_a_shorter_one() -> None:
    life = Life()
    life.starts(0.0)
    life.hears(1.0, "wait", 3600)
    life.hears(20.0, "wait", 180)
    assert life.hung_at() == 200.0


def test_the_watchdog_is_petted_while_it_answers_and_not_once_it_is_silent() -> None:
    life = Life()
    life.starts(0.0)
    life.hears(1.0, "ready", 0)
    assert life.may_pet(1.0 + SILENCE_S - 0.1)
    assert not life.may_pet(1.0 + SILENCE_S)


def test_what_ends_at_once_is_started_again_later_each_time() -> None:
    life, delays = Life(), []
    for now in range(12):
        life.starts(float(now))
        delays.append(life.ends(float(now)))
    assert delays[:3] == [FIRST_DELAY_S, 2 * FIRST_DELAY_S, 4 * FIRST_DELAY_S]
    assert delays[-1] == CAP_DELAY_S


def test_after_a_life_that_worked_the_back_off_begins_anew() -> None:
    life = Life()
    for _ in range(4):
        life.starts(0.0)
        life.ends(0.0)
    life.starts(0.0)
    life.hears(1.0, "ready", 0)
    assert life.ends(1.0 + STABLE_S) == FIRST_DELAY_S
    assert life.failures == 1


def test_one_that_was_ready_for_a_moment_only_counts_on() -> None:
    life = Life()
    for _ in range(2):
        life.starts(0.0)
        life.hears(1.0, "ready", 0)
        life.ends(2.0)
    assert life.failures == 2


def test_ends_in_a_row_lead_to_rescue_which_is_tried_in_turn_with_the_usual() -> None:
    life, rescues = Life(), []
    for _ in range(RESCUE_AFTER + 4):
        rescues.append(life.starts(0.0))
        life.ends(0.0)
    assert rescues == [False] * RESCUE_AFTER + [True, False, True, False]


def test_nobody_pets_the_watchdog_for_ever_where_nothing_comes_up() -> None:
    life = Life()
    for _ in range(GIVE_UP_AFTER):
        assert life.may_pet(0.0)
        life.starts(0.0)
        life.ends(0.0)
    assert not life.may_pet(0.0)


@pytest.mark.parametrize("failures", [0, 3])
def test_an_end_that_was_asked_for_is_no_failure(failures: int) -> None:
    life = Life()
    for _ in range(failures):
        life.starts(0.0)
        life.ends(0.0)
    life.starts(0.0)
    life.ends_as_asked()
    assert life.failures == 0 and life.hung_at() is None
