"""Power cuts: what a disk that lost its power may hold, judged. The share of `make bench-faults` that always runs."""

from pathlib import Path

import pytest

from tests.support.power.disk import Lacking, lacking
from tests.support.power.trial import record, verdicts

SEED = 1
IMAGES = 12
ENOUGH = 24
"""More images than it takes to meet one in which a skipped sync shows: more than every third does."""


def lived(scratch: Path, planted: str = "") -> None:
    """A life on a disk that remembers, or a skip by name."""
    if lacks := lacking():
        pytest.skip(f"this machine lacks {lacks}: no power cuts")
    try:
        record(scratch, SEED, planted)
    except Lacking as error:
        pytest.skip(f"this machine lacks {error}: no power cuts")


def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    lived(tmp_path)
    found = dict(verdicts(tmp_path, IMAGES, SEED))
    assert {cut: verdict.wrong for cut, verdict in found.items() if verdict.wrong} == {}
    assert max(verdict.entries for verdict in found.values()) > 500


@pytest.mark.parametrize("planted", ["barrier", "sync", "metasync"])
def test_a_barrier_that_is_skipped_is_found(tmp_path: Path, planted: str) -> None:
    lived(tmp_path, planted)
    assert any(verdict.wrong for _, verdict in verdicts(tmp_path, ENOUGH, SEED))
