"""A model of tentative boots that fail: what truly happened, and what that leaves where, of which any part may be lost.

It knows the world and nothing of the judgement: a boot goes through its stages, and where it ends each witness that is
still there writes down what it saw.
"""

from random import Random

from journal.evidence import DaemonEnd, Evidence, FailedCheck, Looked, Mark, Source

CHANNELS = ("recorder", "perm", "pstore", "watchdog", "loader", "journal")
STAGES = ("initramfs", "root", "init", "state", "API")
TRUE_CAUSES = (
    "operator", "not-confirmed", "unhealthy-workload", "no-uplink", "api-down", "state-lost", "daemon-crashes",
    "kernel-panic", "initramfs", "init-exit", "hung", "not-loadable", "never-booted", "power-lost",
)  # fmt: skip
_GATE = {"unhealthy-workload": "workload/web", "no-uplink": "uplink", "api-down": "api"}
_TAKES_MS = {"kernel-panic": 10_000, "init-exit": 10_000, "hung": 60_000, "initramfs": 60_000, "daemon-crashes": 5_000}
"""From the last sign of life to the reset at least; what the system asks for itself takes no time."""


def left_by(cause: str, lost: frozenset[str], chance: Random) -> tuple[set[str], Evidence]:
    """The causes that are true of it, and what is found. `lost`: channels that kept nothing; where none is lost, every
    witness did its duty and nothing of an earlier boot lies about."""
    whole = not lost
    came_to = _came_to(cause, chance)
    marks = [Mark(name, 2_000 + 1_500 * number) for number, name in enumerate(STAGES[:came_to])]
    lived_ms = (marks[-1].at_ms if marks else 1_000) + chance.randrange(200, 60_000)
    loader = {"never-booted": "waiting", "not-loadable": "refused"}.get(cause, "taken")
    gave_up = cause in ("operator", "not-confirmed", "state-lost", "daemon-crashes", *_GATE)
    fails_by_itself = cause == "initramfs" and chance.random() < 0.5
    if fails_by_itself:
        marks.append(Mark("initramfs failed", lived_ms, "no partition is PARTUUID=1"))
    ends = tuple(DaemonEnd("exit 1", 9_000 + 500 * one) for one in range(_ends(cause, came_to, chance)))
    returning = cause if gave_up and (whole or chance.random() < 0.9) else None
    if returning == "daemon-crashes" and chance.random() < 0.3:
        returning = "not-confirmed"  # each of its daemons lived for a minute, and that is none of ends in a row
    failed = [FailedCheck(_GATE[cause])] if cause in _GATE else []
    if cause == "no-uplink" and chance.random() < 0.5:
        failed.append(FailedCheck("workload/web"))  # which needs the network
    # PID 1, and the daemon's log on /perm, both say why; the journal has the health checks.
    told = returning if not {"recorder", "perm", "journal"} <= lost else None
    silent = cause in ("hung", "daemon-crashes", "initramfs") and not returning and not fails_by_itself
    flagged = silent and chance.random() < 0.8
    panicked = cause in ("kernel-panic", "init-exit") or (silent and not flagged)
    stale = not whole and chance.random() < 0.2
    # The system that is to be back hung, too, on its way.
    flagged = flagged or (not whole and chance.random() < 0.1)
    lives = came_to >= 4 and "perm" not in lost
    return {cause}, Evidence(
        slot="slot_b",
        boot="tentative" if came_to >= 3 and not {"recorder", "perm", "journal"} <= lost else "",
        loader="unknown" if "loader" in lost else loader,  # type: ignore[arg-type]
        marks=() if "recorder" in lost else tuple(marks),
        ends=() if {"recorder", "perm"} <= lost else ends,
        returning=told,  # type: ignore[arg-type]
        returning_ms=lived_ms if told else 0,
        failed=() if "journal" in lost else tuple(failed),
        alive_ms=max(lived_ms, ends[-1].at_ms if ends and cause != "daemon-crashes" else 0) if lives else 0,
        gap_ms=None if chance.random() < 0.2 else _TAKES_MS.get(cause, 0) + chance.randrange(2_000, 40_000),
        watchdog_reset=None if "watchdog" in lost else flagged,
        panic=_panic(cause) if panicked and "pstore" not in lost else _panic("kernel-panic") if stale else (),
        panic_is_its=panicked and "pstore" not in lost and (whole or chance.random() < 0.9),
        looked=tuple(Looked(_source(one), f"{one} was looked at", one not in lost) for one in CHANNELS),
    )


def _came_to(cause: str, chance: Random) -> int:
    """How many stages it went through."""
    match cause:
        case "not-loadable" | "never-booted":
            return 0
        case "initramfs":
            return chance.choice((0, 1))
        case "kernel-panic":
            return chance.randrange(6)
        case "init-exit":
            return chance.choice((2, 3, 4))
        case "state-lost":
            return 3
        case "daemon-crashes":
            return chance.choice((3, 4, 5))
        case "api-down":
            return chance.choice((3, 4))
        case "hung":
            return chance.choice((3, 4, 5))
        case "power-lost":
            return chance.randrange(6)
        case _:
            return 5


def _ends(cause: str, came_to: int, chance: Random) -> int:
    """Of the daemon. One that does not answer may end now and then; one that loops does so again and again."""
    if came_to < 3:
        return 0
    return 5 if cause == "daemon-crashes" else chance.choice((0, 0, 1, 2))


def _panic(cause: str) -> tuple[str, ...]:
    last = {"init-exit": "Attempted to kill init! exitcode=0x00000100", "kernel-panic": "Oops"}
    return ("<4>[    1.0] before", f"<0>[    9.0] Kernel panic - not syncing: {last.get(cause, _SOFTDOG)}")


_SOFTDOG = "Software Watchdog Timer expired"


def _source(name: str) -> Source:
    return name  # type: ignore[return-value]
