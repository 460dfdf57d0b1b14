"""Volumes on a disk that loses its power: the share of `make bench-faults` that always runs."""

from pathlib import Path

import pytest

from tests.support.power import ledger
from tests.support.power.disk import Lacking, lacking
from tests.support.power.trial import VOLUMES, record, verdicts

pytestmark = pytest.mark.real

SEED = 11
"""A life of eight operations in which everything that a volume promises happens."""


def lived(scratch: Path, calls: int, planted: str = "") -> None:
    """A life on a disk that remembers, or a skip by name."""
    if lacks := lacking():
        pytest.skip(f"this machine lacks {lacks}: no power cuts")
    try:
        record(scratch, SEED, planted, VOLUMES, calls)
    except Lacking as error:
        pytest.skip(f"this machine lacks {error}: no power cuts")


def test_what_a_container_has_synced_and_what_was_acknowledged_of_volumes_survives_a_power_cut(tmp_path: Path) -> None:
    lived(tmp_path, calls=8)
    found = dict(verdicts(tmp_path, 8, SEED, VOLUMES))
    assert {cut: verdict.wrong for cut, verdict in found.items() if verdict.wrong} == {}
    assert max(verdict.entries for verdict in found.values()) > 50, "the container has written"
    promises = {kind for line in ledger.lines(tmp_path / "ledger") for kind in line}
    assert {"line", "made", "taken", "back", "grown"} <= promises


def test_a_container_that_does_not_sync_is_found_out(tmp_path: Path) -> None:
    lived(tmp_path, calls=3, planted="fsync")
    assert any(verdict.wrong for _, verdict in verdicts(tmp_path, 12, SEED, VOLUMES))
