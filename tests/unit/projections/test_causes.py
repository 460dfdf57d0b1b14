"""From what a tentative boot left to one cause: never wrong and certain, and honest about what is not known."""

from random import Random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from journal.evidence import Cause, DaemonEnd, Evidence, FailedCheck, Looked, Mark
from projections.causes import API, INIT, INITRAMFS_FAILED, LOOP, ROOT, STATE, WORDS, judge, of_its_check, sentence
from tests.support.chance import struct
from tests.support.failed_boots import CHANNELS, TRUE_CAUSES, left_by

PLACES = tuple(
    Looked(source, f"{source}: nothing") for source in ("recorder", "perm", "pstore", "watchdog", "loader", "journal")
)
BLIND = tuple(replace(one, usable=False) for one in PLACES)
UP = (Mark("initramfs", 3_000), Mark(ROOT, 4_000), Mark(INIT, 5_000), Mark(STATE, 8_000), Mark(API, 11_000))
INIT_KILLED = ("<0>[    5.2] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",)
PANIC = ("<0>[    1.9] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",)
SOFTDOG = (
    "<0>[   90.0] softdog: Initiating panic",
    "<0>[   90.0] Kernel panic - not syncing: Software Watchdog Timer expired",
)
CRASH = DaemonEnd("exit 1", 9_000, 700, ("capsuled/daemon.py:3 run",), "RuntimeError")


def found(**fields: object) -> Evidence:
    """Evidence of a boot whose loader took the one-shot."""
    told: dict[str, object] = {"slot": "slot_b", "loader": "taken", "looked": PLACES, **fields}
    return Evidence(**told)  # type: ignore[arg-type]


CASES: list[tuple[str, Evidence, Cause, str]] = [
    ("the loader noted it", found(loader="refused"), "not-loadable", "certain"),
    ("nobody took the one-shot", found(loader="waiting"), "never-booted", "certain"),
    ("nobody noted it, and no mark could be read", found(loader="waiting", looked=BLIND), "never-booted", "likely"),
    ("nobody noted it, and it left a mark", found(loader="waiting", marks=UP[:1]), "unknown", "none"),
    ("a panic in pstore", found(panic=PANIC, panic_is_its=True), "kernel-panic", "certain"),
    ("a panic that may be the boot's before", found(panic=PANIC), "kernel-panic", "likely"),
    ("PID 1 killed, says the kernel", found(marks=UP[:2], panic=INIT_KILLED, panic_is_its=True), "init-exit", "certain"),
    ("PID 1 itself says that it ends", found(marks=UP[:3], returning="init-exit", returning_ms=5_500), "init-exit", "certain"),
    ("the initramfs wrote why", found(marks=(*UP[:1], Mark(INITRAMFS_FAILED, 34_000, "no partition is it"))), "initramfs", "certain"),
    ("a hang in the initramfs, watchdog fired", found(marks=UP[:1], watchdog_reset=True), "initramfs", "likely"),
    ("a hang before the first mark", found(watchdog_reset=True), "initramfs", "likely"),
    ("a hang nobody could mark", found(watchdog_reset=True, looked=BLIND), "hung", "likely"),
    ("a hang behind PID 1", found(marks=UP, watchdog_reset=True, alive_ms=60_000), "hung", "likely"),
    ("the soft watchdog's panic", found(marks=UP, panic=SOFTDOG, panic_is_its=True), "hung", "certain"),
    ("the soft watchdog's panic in the initramfs", found(marks=UP[:1], panic=SOFTDOG, panic_is_its=True), "initramfs", "certain"),
    ("PID 1 gave the daemon up", found(marks=UP[:4], returning="daemon-crashes", ends=(CRASH,) * 5), "daemon-crashes", "certain"),
    ("many ends, then the watchdog", found(marks=UP[:4], watchdog_reset=True, ends=(CRASH,) * 3), "daemon-crashes", "likely"),
    ("many ends, then nothing", found(marks=UP[:4], ends=(CRASH,) * 3), "daemon-crashes", "likely"),
    ("many ends long ago, it lived on, then power cut", found(marks=UP, ends=(CRASH,) * 3, alive_ms=90_000, watchdog_reset=False), "power-lost", "likely"),
    ("time over, all well", found(marks=UP, returning="not-confirmed"), "not-confirmed", "certain"),
    ("time over, one check failing", found(marks=UP, returning="not-confirmed", failed=(FailedCheck("uplink"),)), "no-uplink", "certain"),
    ("ill workloads", found(marks=UP, returning="unhealthy-workload", failed=(FailedCheck("workload/web", "exit 1"),)), "unhealthy-workload", "certain"),
    ("ill workloads and no network", found(marks=UP, returning="unhealthy-workload", failed=(FailedCheck("workload/web"), FailedCheck("uplink"))), "no-uplink", "likely"),
    ("a check of a later release", found(marks=UP, returning="not-confirmed", failed=(FailedCheck("moon"),)), "not-confirmed", "likely"),
    ("time over, no API ever", found(marks=UP[:4], returning="not-confirmed"), "api-down", "likely"),
    ("time over, a slow loop", found(marks=UP[:4], returning="not-confirmed", ends=(CRASH,) * 3), "daemon-crashes", "likely"),
    ("time over, nobody could mark", found(returning="not-confirmed", looked=BLIND), "not-confirmed", "likely"),
    ("time over, its daemon ended once", found(marks=UP, returning="not-confirmed", ends=(CRASH,)), "not-confirmed", "likely"),
    ("time over, its daemon ended each minute", found(marks=UP, returning="not-confirmed", ends=(CRASH,) * 8), "daemon-crashes", "likely"),
    ("ill workloads under a daemon that ended each minute", found(marks=UP, returning="unhealthy-workload", ends=(CRASH,) * 8, failed=(FailedCheck("workload/web"),)), "unhealthy-workload", "likely"),
    ("no network, and a daemon that ended each minute", found(marks=UP, returning="no-uplink", ends=(CRASH,) * 8), "no-uplink", "likely"),
    ("ill, and a word that no check says", found(marks=UP, returning="no-uplink"), "no-uplink", "certain"),
    ("no state", found(marks=UP[:3], returning="state-lost"), "state-lost", "certain"),
    ("the operator, whatever failed", found(marks=UP, returning="operator", panic=PANIC, panic_is_its=True), "operator", "certain"),
    ("started anew before it was confirmed", found(marks=UP, ordered="reboot", alive_ms=40_000, watchdog_reset=False), "operator", "likely"),
    ("power cut, all would have told", found(marks=UP, alive_ms=40_000, watchdog_reset=False, gap_ms=90_000), "power-lost", "likely"),
    ("power cut, back too quickly for anything else", found(marks=UP, alive_ms=40_000, gap_ms=4_000, looked=BLIND), "power-lost", "likely"),
    ("it may have panicked", found(marks=UP, alive_ms=40_000, gap_ms=14_000, watchdog_reset=False, looked=BLIND), "unknown", "none"),
    ("it may have hung", found(marks=UP, alive_ms=40_000, gap_ms=80_000), "unknown", "none"),
    ("the clock was set back, it may have hung", found(marks=UP, alive_ms=40_000, gap_ms=-9), "unknown", "none"),
    ("died before it lived", found(marks=UP[:3]), "unknown", "none"),
    ("nothing at all", found(), "unknown", "none"),
    ("nothing, and nowhere to look", Evidence("slot_b"), "unknown", "none"),
]  # fmt: skip


@pytest.mark.parametrize(("evidence", "cause", "confidence"), [one[1:] for one in CASES], ids=[one[0] for one in CASES])
def test_the_cause_of(evidence: Evidence, cause: Cause, confidence: str) -> None:
    verdict = judge(evidence)
    assert (verdict.cause, verdict.confidence) == (cause, confidence), verdict.rests_on


def test_every_cause_of_the_list_can_be_found_and_has_words() -> None:
    assert {case[2] for case in CASES} == set(get_args(Cause)) == set(WORDS)


def test_what_a_verdict_rests_on_names_the_witness() -> None:
    assert "Attempted to kill init" in judge(found(panic=INIT_KILLED)).rests_on[0]
    assert "RuntimeError in capsuled/daemon.py:3 run" in judge(found(ends=(CRASH,) * LOOP)).rests_on[0]
    assert "workload/web had failed: exit 1" in "".join(
        judge(found(returning="not-confirmed", failed=(FailedCheck("workload/web", "exit 1"),))).rests_on
    )


def test_a_state_that_was_lost_is_told_with_what_its_check_said() -> None:
    full = FailedCheck("state", "what containerd knows cannot be copied aside: No space left on device")
    verdict = judge(found(marks=UP[:3], returning="state-lost", failed=(full,)))
    assert verdict.rests_on[1] == f"the health check state had failed: {full.message}"


def test_of_several_checks_the_one_that_led_to_the_cause_is_told() -> None:
    failed = (FailedCheck("workload/web", "exit 1"), FailedCheck("state", "full"), FailedCheck("workload/db", "exit 2"))
    assert of_its_check("state-lost", failed) == "state: full"
    assert of_its_check("unhealthy-workload", failed) == "workload/web: exit 1"
    assert of_its_check("no-uplink", failed) == of_its_check("hung", failed) == ""


def test_unknown_lists_where_was_looked() -> None:
    assert judge(found()).looked_for == tuple(one.said for one in PLACES)


def test_only_what_is_likely_says_so() -> None:
    assert sentence(judge(found(panic=PANIC))) == "its kernel panicked (likely)"
    assert sentence(judge(found(panic=PANIC, panic_is_its=True))) == "its kernel panicked"
    assert sentence(judge(found())) == "why is not known"


@given(struct(Evidence))
def test_whatever_the_evidence_there_is_one_verdict_that_says_what_it_rests_on(evidence: Evidence) -> None:
    verdict = judge(evidence)
    assert (verdict.cause == "unknown") == (verdict.confidence == "none")
    assert verdict.looked_for if verdict.cause == "unknown" else verdict.rests_on


@given(struct(Evidence))
def test_nothing_is_certain_without_a_witness(evidence: Evidence) -> None:
    silent = replace(
        evidence, returning=None, ordered=None, panic=(), watchdog_reset=None, loader="taken",
        marks=tuple(one for one in evidence.marks if one.name != INITRAMFS_FAILED),
    )  # fmt: skip
    assert judge(silent).confidence != "certain"


@given(st.sampled_from(TRUE_CAUSES), st.sets(st.sampled_from(CHANNELS)), st.randoms(use_true_random=False))
def test_it_is_never_wrong_and_certain_whatever_channels_were_lost(cause: str, lost: set[str], chance: Random) -> None:
    truth, evidence = left_by(cause, frozenset(lost), chance)
    verdict = judge(evidence)
    assert verdict.confidence != "certain" or verdict.cause in truth, (cause, lost, verdict)


@pytest.mark.parametrize("cause", TRUE_CAUSES)
def test_with_every_witness_it_is_right_and_only_a_power_cut_may_stay_unknown(cause: str) -> None:
    for seed in range(50):
        truth, evidence = left_by(cause, frozenset(), Random(seed))
        verdict = judge(evidence)
        honest = cause == "power-lost" and verdict.cause == "unknown" and not evidence.alive_ms
        assert verdict.cause in truth or honest, (cause, seed, verdict)
