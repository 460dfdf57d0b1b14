"""What there was of volumes, as it was then."""

import time

import pytest

from capsule.v1 import history_pb2, volume_pb2
from capsulectl import volume

HOUR_S = 3_600
YEAR_S = 365 * 24 * HOUR_S


def test_a_snapshot_of_the_past_is_as_old_as_it_was_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    then_s = int(time.time()) - YEAR_S
    taken = volume_pb2.Snapshot(volume="data", name="before", taken=True, requested_at_unix=then_s - 2 * HOUR_S)
    past = history_pb2.AsOfResponse(seq=5, at_unix_ns=then_s * 1_000_000_000, snapshots=[taken])
    monkeypatch.setattr(volume, "Connection", lambda capsule: None)
    monkeypatch.setattr(volume, "as_of", lambda connection, at, quiet, *only: past)
    volume.snapshots("data", at="5")
    assert capsys.readouterr().out.splitlines()[-1].split()[-1] == "2h"
