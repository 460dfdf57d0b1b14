"""How PID 1 judges the trial of a new system."""

from init.life import RESCUE_AFTER
from init.trial import DEFAULT_WINDOW_S, GRACE_S, Trial


def test_only_what_the_boot_loader_calls_a_trial_is_one() -> None:
    for line in ("", "capsule.slot=slot_b capsule.default=slot_a", "capsule.update=", "capsule.window=1 quiet"):
        trial = Trial(line)
        assert not trial.runs and trial.over(1e9, 99) == ""


def test_its_window_is_counted_from_the_kernels_beginning_and_the_daemon_has_the_first_word() -> None:
    trial = Trial("x capsule.update=12 capsule.window=600 y")
    assert trial.update == "12" and trial.ends_at == 600 + GRACE_S
    assert trial.over(600, 0) == "" and trial.over(600 + GRACE_S, 0) == "window-over"
    assert Trial("capsule.update=12").ends_at == Trial("capsule.update=12 capsule.window=x").ends_at
    assert Trial("capsule.update=12").ends_at == DEFAULT_WINDOW_S + GRACE_S


def test_a_daemon_that_ends_again_and_again_ends_the_trial_and_a_word_ends_it_well() -> None:
    trial = Trial("capsule.update=12 capsule.window=600")
    assert trial.over(1, RESCUE_AFTER - 1) == "" and trial.over(1, RESCUE_AFTER) == "daemon-crashes"
    trial.hears("alive")
    assert trial.runs
    trial.hears("confirmed")
    assert not trial.runs and trial.over(1e9, RESCUE_AFTER) == ""
