"""An hour of storm, in stretches: operations and faults of every kind, somebody who looks on, and between two stretches
nothing is wanted, so that what is left over shows.

In the first half capsuled and containerd are killed, too. In the second one they live on, so that what they lose by and
by shows: handles, threads, memory.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import msgspec

from tests.support.site import Site
from tests.support.soak.census import Census, Host, count, lost, slope
from tests.support.soak.crowd import crowd
from tests.support.soak.visitor import Visitor
from tests.support.storm.trial import FAULTS, PLOTS, Outcome, Storm, on_a_site

RUN = Path("/run/capsule")
STRETCHES = 12
LIVE_ON = {what: often for what, often in FAULTS.items() if what not in ("kill capsuled", "kill containerd")}
VISITS_S = 2.0
"""Between two looks of the visitor's."""
SETTLES_S = 2.0


class Soak(msgspec.Struct):
    """What it came to."""

    seed: int
    storm: Outcome
    looks: list[Census] = []
    visits: dict[str, int] = {}
    refused: dict[str, int] = {}

    def mib_an_hour(self) -> dict[str, float]:
        """What the memory of capsuled and containerd grows by, in the second half: there the same ones lived all the
        time."""
        second = self.looks[STRETCHES // 2 :]
        return {
            name: round(slope((look.minute / 60, held.memory_mib) for look, held in some), 2)
            for name, some in (
                ("capsuled", [(look, look.daemon) for look in second]),
                ("containerd", [(look, look.runtime) for look in second]),
            )
            if len(some) > 1
        }


def soak(seed: int, minutes: float, keep: Path | None = None, tell: Callable[[str], None] = print) -> Soak:
    """Run one. `tell` is told each look. What is left of a bad one is copied to `keep`."""
    before = Host.now()
    one = Soak(seed, Outcome())

    async def rage(storm: Storm, place: Site) -> None:
        one.storm = storm.outcome
        await _rage(storm, place, one, minutes, tell)

    one.storm = on_a_site(seed, rage, keep)
    if str(RUN) not in before.places:  # whether KVM works here is remembered there as long as the machine is up
        (RUN / "acceleration.json").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # what else is there is told of
            RUN.rmdir()
    one.storm.wrong += before.left(Host.now())
    return one


async def _rage(storm: Storm, place: Site, one: Soak, minutes: float, tell: Callable[[str], None]) -> None:
    begun, outcome = time.monotonic(), storm.outcome
    visitor = Visitor(storm.capsule, tuple(f"{letter}{plot}" for plot in range(PLOTS) for letter in "wx"))
    try:
        for stretch in range(STRETCHES):
            ends = begun + (stretch + 1) * minutes * 60 / STRETCHES
            storm.faults = FAULTS if stretch < STRETCHES // 2 else LIVE_ON
            await storm.begin()
            await _visited(storm, ends, visitor, Random(f"{one.seed} visitor {stretch}"))
            await storm.rest()
            if outcome.wrong:
                return
            await crowd(storm.capsule.state / "capsule.sock")
            await asyncio.sleep(SETTLES_S)  # what ends by and by has ended
            look = await asyncio.to_thread(count, place, storm.capsule, begun, time.monotonic(), outcome.operations)
            one.looks.append(look)
            tell(str(look))
            outcome.wrong += await asyncio.to_thread(_as_told, storm)
            if stretch > STRETCHES // 2:
                outcome.wrong += lost(one.looks[STRETCHES // 2], look)
    finally:
        outcome.seconds = time.monotonic() - begun
        one.visits, one.refused = dict(visitor.done), dict(visitor.refused)
        await storm.close()


async def _visited(storm: Storm, ends: float, visitor: Visitor, random: Random) -> None:
    """The storm until then, with somebody who looks on."""
    over = asyncio.Event()

    async def visit() -> None:
        while not over.is_set() and not storm.outcome.wrong:
            storm.outcome.wrong += await asyncio.to_thread(visitor.look, random)
            await asyncio.sleep(VISITS_S)

    visiting = asyncio.ensure_future(visit())
    try:
        await storm.go_on(lambda: sys.maxsize if time.monotonic() < ends else 0)
    finally:
        over.set()
        await visiting


def _as_told(storm: Storm) -> list[str]:
    """The journal says what the daemon shows; nothing differs from it; and the daemon met no fault of its own."""
    wrong = []
    for command in (("replay", "--verify"), ("journal", "verify"), ("drift",)):
        done = storm.capsule.ctl(*command)
        if done.returncode:
            wrong.append(f"capsulectl {' '.join(command)}: {done.stdout}{done.stderr}")
    if "Traceback" in (output := storm.capsule.output()):
        wrong.append(f"capsuled met a fault of its own: {output[output.index('Traceback') :][:2000]}")
    return wrong
