"""Which entries tell of something that went wrong."""

import pytest
from msgspec.structs import replace

from journal.events import (
    CallAccepted,
    CallRefused,
    DaemonStarted,
    EffectDone,
    EffectFailed,
    Event,
    StreamClosed,
    VolumeLost,
    WorkloadExited,
    WorkloadHealthChanged,
    WorkloadLost,
    WorkloadStarted,
    type_of,
)
from projections.failures import MAY_FAIL, failed
from tests.support.entries import Ledger

HEADER = Ledger().forge("any.thing", {}).header


@pytest.mark.parametrize(
    ("event", "cause", "expected"),
    [
        (CallRefused("Apply", "no", "INVALID_ARGUMENT"), 0, True),
        (CallAccepted("Apply"), 0, False),
        (EffectFailed("StartRun", "web", 1, "X", "no"), 3, True),
        (EffectDone("StartRun", "web", 1), 3, False),
        (WorkloadStarted("web", 1, 1, 1, 9), 3, False),
        (WorkloadExited("web", 1, 1, 0), 0, False),
        (WorkloadExited("web", 1, 1, 3), 0, True),
        (WorkloadExited("web", 1, 1, 143), 7, False),
        (WorkloadExited("web", 1, 1, 3, unasked=True), 7, True),
        (WorkloadExited("web", 1, 1, 0, unasked=True), 7, False),
        (WorkloadExited("web", 1, 1, 137, oom=True), 0, True),
        (WorkloadLost("web", 1, 1, "power"), 0, True),
        (WorkloadLost("web", 1, 1, "nothing was found", unborn=True), 7, False),
        (WorkloadHealthChanged("web", 1, 1, "unhealthy"), 0, True),
        (WorkloadHealthChanged("web", 1, 1, "healthy"), 0, False),
        (StreamClosed(5, "failed"), 5, True),
        (StreamClosed(5, "lost"), 5, True),
        (StreamClosed(5, "ok"), 5, False),
        (StreamClosed(5, "cancelled"), 5, False),
        (VolumeLost("data", 1), 0, True),
        (DaemonStarted(mode="hosted", previous="clean"), 0, False),
        (DaemonStarted(mode="hosted", previous="first"), 0, False),
        (DaemonStarted(mode="hosted", previous="crash"), 0, True),
        (DaemonStarted(mode="hosted", previous="power-lost"), 0, True),
    ],
)
def test_what_went_wrong(event: Event, cause: int, expected: bool) -> None:
    assert failed(replace(HEADER, cause=cause), event) is expected
    assert not expected or type_of(event) in MAY_FAIL
