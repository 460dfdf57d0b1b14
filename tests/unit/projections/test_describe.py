"""Every event can be told in one line, also one that nobody here can read."""

from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effects.goals import Effect
from journal.events import (
    EVENT_TYPES,
    AppliedWorkload,
    EffectFailed,
    EffectStarted,
    Event,
    StreamClosed,
    UpdateBegun,
    VolumeApplied,
    WorkloadApplied,
    WorkloadExited,
    WorkloadHealthChanged,
    WorkloadLost,
    WorkloadStable,
    WorkloadStarted,
    type_of,
)
from journal.specs import ContainerSpec, ImagePin
from projections.describe import describe
from projections.effect_words import FAILED
from tests.support.chance import struct
from tests.support.entries import Ledger

HEADER = Ledger().forge("any.thing", {}).header


def applied(**fields: Any) -> WorkloadApplied:
    spec = ContainerSpec(ImagePin("demo:1", "sha256:1", "sha256:2"))
    return WorkloadApplied((AppliedWorkload("web", "container", spec, **fields),))


def begun(**fields: Any) -> UpdateBegun:
    return UpdateBegun("slot_b", "2", "bbb", 1, "slot_a", "1", "aaa", size_bytes=20, **fields)


@settings(max_examples=3)
@given(st.data())
@pytest.mark.parametrize("kind", EVENT_TYPES, ids=type_of)
def test_no_event_is_told_by_its_tag_alone(kind: type[Event], data: st.DataObject) -> None:
    text = describe(HEADER, data.draw(struct(kind)))
    assert text != HEADER.type


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (EffectStarted("StartRun", "web", 1, run=2), "web: StartRun run 2"),
        (EffectStarted("StartRun", "web", 1, run=2, attempt=3), "web: StartRun run 2, attempt 3"),
        (EffectStarted("RemoveWorkload", "web", 1), "web: RemoveWorkload"),
        (EffectFailed("StartRun", "web", 1, "X", "disk full", run=2, retry_delay_ms=1500), "web run 2 could not be started: disk full; next try in 1.5 s"),
        (EffectFailed("StartRun", "web", 1, "X", "no file", run=2, permanent=True), "web run 2 could not be started: no file; not tried again"),
        (EffectFailed("TakeSnapshot", "data", 1, "X", "busy", snapshot=7, retry_delay_ms=60_000), "snapshot 7 of volume data could not be taken: busy; next try in 1m"),
        (EffectFailed("EnsureMoon", "web", 1, "X", "no sky", permanent=True), "web: EnsureMoon failed: no sky; not tried again"),
        (WorkloadStarted("web", 1, 2, 1, 9), "web run 2 started, pid 9"),
        (WorkloadStarted("web", 1, 2, 1, 0), "web run 2 started"),
        (WorkloadStarted("web", 1, 2, 1, 9, adopted=True), "web run 2 found running, pid 9"),
        (WorkloadExited("web", 1, 2, 3, restart=True, restart_delay_ms=2000), "web run 2 exited with code 3; next run in 2 s"),
        (WorkloadExited("web", 1, 2, 3, restart=True, restart_delay_ms=256_000), "web run 2 exited with code 3; next run in 4m16s"),
        (WorkloadHealthChanged("web", 1, 2, "unhealthy", failures=3, message="exited with code 1"), "web run 2 is unhealthy: 3 failures in a row, the last: its check exited with code 1"),
        (StreamClosed(5, "failed", 1, 2, reason="NOT_RUNNING"), "stream 5 failed (NOT_RUNNING), 1 B in, 2 B out"),
        (applied(created=True), "web created (demo:1)"),
        (applied(changed=True, relabelled=True), "web changed (demo:1)"),
        (applied(relabelled=True), "web labelled (demo:1)"),
        (applied(reordered=True), "web reordered (demo:1)"),
        (applied(policed=True, drift="report"), "web to report drift (demo:1)"),
        (VolumeApplied("data", 64 << 20, created=True, drift="repair"), "volume data created, 64 MiB"),
        (VolumeApplied("data", 64 << 20, created=True, drift="report"), "volume data created, 64 MiB (drift: report)"),
        (VolumeApplied("data", 64 << 20, drift="repair"), "volume data to grow, 64 MiB (drift: repair)"),
        (VolumeApplied("data", 64 << 20, same_size=True, drift="repair"), "volume data as it is, 64 MiB (drift: repair)"),
        (VolumeApplied("data", 64 << 20), "volume data to grow, 64 MiB"),
        (applied(repaired=True), "web to be repaired (demo:1)"),
        (applied(desired="stopped"), "web started again, stopped (demo:1)"),
        (begun(), "slot_b is written: 2 (bbb), 20 B, not signed; 1 (aaa) runs"),
        (begun(kind="rollback"), "slot_b shall run again: 2 (bbb), in the place of 1 (aaa)"),
        (WorkloadExited("web", 1, 2, 3, gave_up=True, streak=4), "web run 2 exited with code 3; given up: that was end 4 in a row"),
        (StreamClosed(5, "failed", reason="PATH_MISSING", object="web", method="WorkloadService.CopyTo"), "stream 5 of WorkloadService.CopyTo(web) failed (PATH_MISSING), 0 B in, 0 B out"),
        (StreamClosed(5, "lost", method="ImageService.Push"), "stream 5 of ImageService.Push() lost, 0 B in, 0 B out"),
        (StreamClosed(5, "lost", object="web"), "stream 5 of web lost, 0 B in, 0 B out"),
        (WorkloadStable("web", 1, 2), "web run 2 is stable: the ends in a row before it count no more"),
        (WorkloadLost("web", 1, 2, "nothing was found", unborn=True), "web run 2 never came to life: nothing was found"),
        (StreamClosed(5, "ok", exit_code=0), "stream 5 ok, exit code 0, 0 B in, 0 B out"),
    ],
)  # fmt: skip
def test_an_event_in_one_line(event: Event, text: str) -> None:
    assert describe(HEADER, event) == text


def test_every_effect_has_words_for_its_failure() -> None:
    assert FAILED.keys() == {kind.__name__ for kind in get_args(Effect)}


def test_what_is_gone_or_unknown_says_so() -> None:
    assert describe(HEADER, None, excised=True) == "(its content was removed)"
    assert describe(HEADER, None) == "(written by a newer release)"


def test_an_event_that_nobody_taught_it_is_still_named() -> None:
    assert describe(HEADER, object()) == "any.thing"  # type: ignore[arg-type]
