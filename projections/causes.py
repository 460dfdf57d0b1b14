"""Why an update went back: from the evidence that its tentative boot left to one cause of a closed list. Pure.

It never says more than the evidence does. What somebody who was there wrote down (the system before it sent the machine
back, the kernel in its last words, the boot loader, the initramfs) is certain, where it says of which boot it is: last
words that do not, and a watchdog, which never does, may be of the system that is back, on its way. What only follows
from what is missing (a power cut leaves nothing, a system that was well leaves no end of its daemon) is likely at most,
and only where whatever else would have left something was in a state to leave it. All the rest is unknown, with the
list of what was looked for.

What stood first decides: that the system itself gave up is known before it goes down, so how it went down afterwards
does not matter; and what was never loaded cannot have failed by itself.
"""

from collections.abc import Callable, Iterable

from journal.evidence import Cause, Confidence, Evidence, FailedCheck, Mark, Source, Verdict

WORDS: dict[Cause, str] = {
    "operator": "an operator asked for it",
    "not-confirmed": "nobody confirmed it in time",
    "unhealthy-workload": "workloads were not well under it",
    "no-uplink": "it had no network",
    "api-down": "its API did not answer",
    "state-lost": "it found no state to start on, or could not keep there what its trial would be undone with",
    "daemon-crashes": "its daemon ended again and again",
    "kernel-panic": "its kernel panicked",
    "initramfs": "it did not get through its initramfs",
    "init-exit": "its PID 1 ended",
    "hung": "it hung, and a watchdog reset the machine",
    "not-loadable": "the boot loader could not load it",
    "never-booted": "its trial never began: nobody took the boot loader's one-shot",
    "power-lost": "the machine lost its power, or was reset by hand",
    "unknown": "why is not known",
}
"""Each cause as the end of a sentence about the update."""

ROOT, INIT, STATE, API = "root", "init", "state", "API"
"""Marks that the judgement goes by: the initramfs has its root; PID 1 runs; /perm is mounted; the API answers."""
INITRAMFS_FAILED = "initramfs failed"

PANIC_RESETS_MS = 10_000
"""A kernel that panicked resets the machine so long afterwards (panic=10 on its command line)."""
WATCHDOG_RESETS_MS = 60_000
"""A watchdog fires so long after it was last petted; what hung was silent for so long."""
LOOP = 3
"""So many ends of the daemon in one boot are a loop, also where nobody was left to say so."""

_KILLED_INIT = "Attempted to kill init"
_SOFT_WATCHDOG = "Software Watchdog Timer expired"
_PANIC = "Kernel panic"


def judge(evidence: Evidence) -> Verdict:
    """The cause. Total: whatever the evidence, there is a verdict."""
    for rule in _RULES:
        verdict = rule(evidence)
        if verdict is not None:
            return verdict
    return Verdict("unknown", "none", _last_mark(evidence) if evidence.marks else (), looked_for(evidence))


def sentence(verdict: Verdict) -> str:
    """The verdict in words, with how sure it is."""
    words = WORDS[verdict.cause]
    return f"{words} (likely)" if verdict.confidence == "likely" else words


def of_its_check(cause: Cause, failed: Iterable[FailedCheck]) -> str:
    """What the check said that led to the cause, as the system itself would have told; empty where none did."""
    kinds = [kind for kind, led_to in CHECKS if led_to == cause]
    return next((f"{one.name}: {one.message}" for one in failed if one.name.partition("/")[0] in kinds), "")


def tells_the_end(line: str) -> bool:
    """Whether a line of the kernel's last words says why it ended."""
    return _PANIC in line or _SOFT_WATCHDOG in line


def looked_for(evidence: Evidence) -> tuple[str, ...]:
    """Where was looked, and what was there."""
    return tuple(one.said for one in evidence.looked) or ("there was no place to look at",)


# --- a rule for each kind of witness; the first that says something decides ------------------------------------------


def _by_its_own_word(evidence: Evidence) -> Verdict | None:
    """The system gave up, and wrote down why before it did."""
    if evidence.returning is None or evidence.returning == "unknown":
        return None
    when = f"{evidence.returning_ms / 1000:.1f} s after its kernel began " if evidence.returning_ms else ""
    noted = f"{when}it sent the machine back itself, and noted: {WORDS[evidence.returning]}"
    if evidence.returning in _OF_THE_GATE:
        return _by_the_gate(evidence, evidence.returning, noted)
    return Verdict(evidence.returning, "certain", (noted, *_checks(evidence), *_ends(evidence)))


_OF_THE_GATE: tuple[Cause, ...] = ("not-confirmed", "unhealthy-workload", "no-uplink", "api-down")
CHECKS: tuple[tuple[str, Cause], ...] = (
    ("state", "state-lost"),
    ("uplink", "no-uplink"),
    ("workload", "unhealthy-workload"),
    ("api", "api-down"),
)
"""By what each kind of check names, those first that can have led to the others: without a network workloads may be
ill, and hardly the other way round."""


def _by_the_gate(evidence: Evidence, said: Cause, noted: str) -> Verdict:
    """It did not open in time, and its checks say why; of several kinds the one that can have led to the rest is
    likely. PID 1 alone, without a daemon, can only say that the time was over. A daemon that ended again and again can
    have led to whatever a check says, and begins its soak anew each time; that nothing but the confirmation was missing
    is certain where everything was seen to be well."""
    rests_on = (noted, *_checks(evidence), *_ends(evidence))
    kinds = {one.name.partition("/")[0] for one in evidence.failed}
    found = [cause for kind, cause in CHECKS if kind in kinds]
    looped = len(evidence.ends) >= LOOP
    if found:
        return Verdict(found[0], "certain" if len(kinds) == 1 and not looped else "likely", rests_on)
    if said != "not-confirmed":
        return Verdict(said, "likely" if kinds or looped else "certain", rests_on)
    if looped:
        return Verdict("daemon-crashes", "likely", rests_on)
    seen = _usable(evidence, "recorder") and _usable(evidence, "perm")
    if seen and not _reached(evidence, API):
        return Verdict("api-down", "likely", (*rests_on, *_last_mark(evidence)))
    return Verdict(said, "certain" if seen and not kinds and not evidence.ends else "likely", rests_on)


def _checks(evidence: Evidence) -> tuple[str, ...]:
    return tuple(
        f"the health check {one.name} had failed" + (f": {one.message}" if one.message else "")
        for one in evidence.failed
    )


def _by_the_loader(evidence: Evidence) -> Verdict | None:
    began = bool(evidence.marks or evidence.boot)
    if evidence.loader == "refused" and not began:
        return Verdict("not-loadable", "certain", ("the boot loader noted that it could not load the slot",))
    if evidence.loader == "waiting" and not began:
        # It boots nothing once that it has not noted before; a disk that lost the note would have marks of that boot.
        noted = "the boot loader did not note that it took the one-shot, as where the firmware cannot write the disk"
        return Verdict("never-booted", "certain" if _usable(evidence, "recorder") else "likely", (noted,))
    return None


def _by_an_order(evidence: Evidence) -> Verdict | None:
    """Somebody ended the machine in order, by a call or its button, before it was confirmed. The system itself does so,
    too, but says why first: that may be lost."""
    if evidence.ordered is None:
        return None
    what = "to start the machine anew" if evidence.ordered == "reboot" else "to switch the machine off"
    return Verdict("operator", "likely", (f"PID 1 was told {what}, and nothing says that the system itself wanted it",))


def _by_the_kernels_last_words(evidence: Evidence) -> Verdict | None:
    """What it kept over the reset. Where that may be of the boot before, it is no more than likely."""
    last = next((line for line in reversed(evidence.panic) if tells_the_end(line)), "")
    if not last:
        return None
    confidence: Confidence = "certain" if evidence.panic_is_its else "likely"
    rests_on = (f"the kernel's last words, kept over the reset: {last.strip()}", *_last_mark(evidence))
    if _KILLED_INIT in last:
        return Verdict("init-exit", confidence, rests_on)
    if any(_SOFT_WATCHDOG in line for line in evidence.panic):
        return _hung(evidence, confidence, rests_on)
    return Verdict("kernel-panic", confidence, rests_on)


def _by_the_initramfs(evidence: Evidence) -> Verdict | None:
    failed = next((mark for mark in evidence.marks if mark.name == INITRAMFS_FAILED), None)
    if failed is None or _reached(evidence, INIT):
        return None
    return Verdict("initramfs", "certain", (f"the initramfs noted: {failed.problem or 'it failed'}",))


def _by_the_watchdog(evidence: Evidence) -> Verdict | None:
    """It says that it fired, and not in which boot. PID 1 lets it, too, once it has given up a daemon that ends again
    and again."""
    if not evidence.watchdog_reset:
        return None
    return _hung(evidence, "likely", ("the watchdog says that it reset the machine", *_last_mark(evidence)))


def _hung(evidence: Evidence, confidence: Confidence, rests_on: tuple[str, ...]) -> Verdict:
    """That something hung is known; where is told by the marks: behind PID 1's first act, or before it. A boot without
    any mark hung before the first one, or could leave none."""
    if len(evidence.ends) >= LOOP:
        return Verdict("daemon-crashes", "likely", (*rests_on, *_ends(evidence)))
    if _reached(evidence, INIT) or evidence.alive_ms:
        return Verdict("hung", confidence, rests_on)
    if evidence.marks:
        return Verdict("initramfs", confidence, rests_on)
    if _usable(evidence, "recorder"):
        return Verdict("initramfs", "likely", rests_on)
    return Verdict("hung", "likely", rests_on)


def _by_the_daemons_ends(evidence: Evidence) -> Verdict | None:
    """Nobody was left to say that it was a loop, and the last that was heard of this boot is such an end."""
    if len(evidence.ends) < LOOP or evidence.alive_ms > evidence.ends[-1].at_ms:
        return None
    return Verdict("daemon-crashes", "likely", (*_ends(evidence), *_last_mark(evidence)))


def _by_what_is_missing(evidence: Evidence) -> Verdict | None:
    """It lived, and then there is nothing. A power cut leaves nothing; a panic and a hang would have left something, if
    there was anything to leave it in, or at least would have taken their time."""
    if not evidence.alive_ms:
        return None
    # A clock that was set in between tells nothing.
    gap_ms = evidence.gap_ms if evidence.gap_ms is not None and evidence.gap_ms >= 0 else WATCHDOG_RESETS_MS
    rests_on = [f"its last sign of life was {evidence.alive_ms / 1000:.1f} s after its kernel began"]
    later = f"the next boot began {gap_ms / 1000:.1f} s later"
    if _usable(evidence, "pstore"):
        rests_on.append("the kernel kept no last words, which it would have after a panic")
    elif gap_ms < PANIC_RESETS_MS:
        rests_on.append(f"{later}: a panic takes longer")
    else:
        return None
    if evidence.watchdog_reset is False:
        rests_on.append("the watchdog says that it did not fire")
    elif gap_ms < WATCHDOG_RESETS_MS:
        rests_on.append(f"{later}: a watchdog takes longer")
    else:
        return None
    return Verdict("power-lost", "likely", tuple(rests_on))


_RULES: tuple[Callable[[Evidence], Verdict | None], ...] = (
    _by_its_own_word,
    _by_the_loader,
    _by_an_order,
    _by_the_kernels_last_words,
    _by_the_initramfs,
    _by_the_watchdog,
    _by_the_daemons_ends,
    _by_what_is_missing,
)


# --- what they have in common ----------------------------------------------------------------------------------------


def _reached(evidence: Evidence, name: str) -> bool:
    return any(mark.name == name and not mark.problem for mark in evidence.marks)


def _usable(evidence: Evidence, source: Source) -> bool:
    return any(one.source == source and one.usable for one in evidence.looked)


def _last_mark(evidence: Evidence) -> tuple[str, ...]:
    if not evidence.marks:
        return ("it left no mark of a stage",)
    last: Mark = max(evidence.marks, key=lambda mark: mark.at_ms)
    return (f"the last stage it reached was `{last.name}`, {last.at_ms / 1000:.1f} s after its kernel began",)


def _ends(evidence: Evidence) -> tuple[str, ...]:
    if not evidence.ends:
        return ()
    last = evidence.ends[-1]
    where = f" in {last.trace[-1]}" if last.trace else ""
    kind = f", {last.error}" if last.error else ""
    times = "once" if len(evidence.ends) == 1 else f"{len(evidence.ends)} times"
    return (f"its daemon ended {times}, the last time with {last.how}{kind}{where}",)
