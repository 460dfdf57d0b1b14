"""Ten kills at random moments under load: the share of `make bench-faults` that always runs."""

import pytest

from tests.support.ordeal.trial import endure

pytestmark = pytest.mark.real


def test_a_daemon_killed_at_random_moments_loses_nothing_and_ends_as_desired() -> None:
    outcome = endure(seed=1, kills=10)
    assert outcome.wrong == []
    assert outcome.kills == 10 and outcome.calls > 20
