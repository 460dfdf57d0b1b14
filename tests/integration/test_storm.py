"""A storm on the real machine: the share of `make bench-faults` that always runs."""

import pytest

from tests.support.storm.trial import storm

pytestmark = pytest.mark.real


def test_after_a_storm_of_operations_and_faults_the_world_is_as_it_was_wished_and_nothing_else() -> None:
    outcome = storm(seed=5, operations=60)
    assert outcome.wrong == []
    assert outcome.operations == 60 and outcome.faults >= 10 and outcome.quiet_moments >= 10
    assert outcome.illnesses > 0 and outcome.waited > 0
    # Ten are the first and the last word of each plot.
    assert outcome.boots > 0
    assert outcome.copies > 0 and outcome.secrets > 10 and outcome.rollbacks > 0 and outcome.foreign > 0
