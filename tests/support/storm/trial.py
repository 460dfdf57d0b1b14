"""One storm: bursts of operations, plots side by side, with faults among them, and a quiet moment after each burst.

A burst's operations follow from the seed and their number. What they meet (how far the daemon is when it is killed) is
the machine's, so a bad storm need not come again at its first repetition; it leaves its trace, journal and logs.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from capsuled.examine import verify_apart
from capsuled.layout import hosted
from journal.codec import decode
from journal.environment import Environment
from journal.events import WorkloadStarted
from journal.reader import Reader
from tests.simulation.order import Order
from tests.support.daemon import CAPSULED, Daemon, daemon
from tests.support.microvms import build_guest_image
from tests.support.site import Site, site
from tests.support.storm.bursts import drawn
from tests.support.storm.calls import Calls, at_socket
from tests.support.storm.foreign import OtherHand
from tests.support.storm.judge import Judge
from tests.support.storm.operations import Plot
from tests.support.storm.world import Observer, Unquiet

PLOTS = 5
"""The last one's workloads are a microVM and a container."""
BURST_MOST = 12
QUIET_S = 180.0
FAULTS = {"kill capsuled": 4, "kill containerd": 3, "flush rules": 3, "cut a link": 2, "kill a monitor": 2}
HAND_SHARE = 0.5
"""How often another hand acts after a burst."""
SETTLED_LOOKS = 2
"""The world is right when it is so twice: a thing that is about to go has been seen in its last moment."""


class Outcome(msgspec.Struct):
    """What a storm came to. `wrong` is empty when every quiet moment was as the wishes say. `waited`: the starts of
    workloads that depend on others; `secrets`: changes of them; `foreign`: changes by another hand that were left;
    `boots`: of microVMs."""

    operations: int = 0
    faults: int = 0
    quiet_moments: int = 0
    seconds: float = 0.0
    illnesses: int = 0
    waited: int = 0
    copies: int = 0
    secrets: int = 0
    rollbacks: int = 0
    foreign: int = 0
    boots: int = 0
    wrong: list[str] = []


class Storm:
    """One of them, on a capsule of its own."""

    def __init__(self, place: Site, capsule: Daemon, seed: int) -> None:
        self._site, self.capsule, self._seed = place, capsule, seed
        self.faults = FAULTS
        mark = f"storm{os.getpid()}x{seed}"
        self._run = run = hosted(capsule.state).run
        info = capsule.data("capsule", "info")
        parent = f"{info['shortId']}-{info['capsuleId'][-6:]}"
        self._calls = Calls(at_socket(capsule.state / "capsule.sock"), mark)
        self._plots = [Plot(number, mark, self._calls, number == PLOTS - 1) for number in range(PLOTS)]
        self._observer = Observer(place, capsule, run, parent, mark)
        self._judge = Judge(place, capsule, run, self._observer)
        self._trace = (capsule.scratch / "trace").open("w", buffering=1)
        self.outcome = Outcome()

    async def rage(self, operations: int) -> None:
        """All of it, and a last quiet moment in which nothing is left."""
        begun = time.monotonic()
        try:
            await self.begin()
            await self.go_on(lambda: operations - self.outcome.operations)
            await self.rest()
        finally:
            self.outcome.seconds = time.monotonic() - begun
            await self.close()

    async def begin(self) -> None:
        """What every plot begins with."""
        await asyncio.gather(*(plot.prepare() for plot in self._plots))

    async def go_on(self, left: Callable[[], int]) -> None:
        """Bursts, while more than no operations are `left` and nothing is wrong."""
        outcome = self.outcome
        while (most := left()) > 0 and not outcome.wrong:
            # By the number of operations before it, so that a longer storm begins as a shorter one.
            random = Random(f"{self._seed} burst {outcome.operations}")
            await self._burst(random, min(most, random.randint(1, BURST_MOST)))
            if random.random() < HAND_SHARE and not outcome.wrong:
                await self._another_hand(random)

    async def rest(self) -> None:
        """Nothing is wanted any more, and nothing is left."""
        if not self.outcome.wrong:
            await asyncio.gather(*(plot.tidy() for plot in self._plots))
            await self._quiet()

    async def close(self) -> None:
        """Count, and hang up."""
        outcome, done = self.outcome, sum((plot.done for plot in self._plots), Counter[str]())
        outcome.illnesses = sum(plot.illnesses for plot in self._plots)
        outcome.copies, outcome.secrets, outcome.rollbacks = done["copies"], done["secrets"], done["rollbacks"]
        await self._calls.close()

    async def _burst(self, random: Random, count: int) -> None:
        work, struck = drawn(random, count, self.outcome.operations, PLOTS, self.faults)
        faults = [(random.uniform(0.0, 2.0), fault, random.random()) for fault in struck]
        tasks = [self._work(plot, numbers) for plot, numbers in zip(self._plots, work, strict=True)]
        await asyncio.gather(*tasks, self._strike(sorted(faults)))
        self.outcome.operations += count
        self.outcome.faults += len(faults)
        self.outcome.wrong += [one for plot in self._plots for one in plot.wrong]
        if not self.outcome.wrong:
            await self._quiet()

    async def _work(self, plot: Plot, numbers: list[int]) -> None:
        for number in numbers:
            # Told before it is done, too: what hangs must stand in the trace.
            self._note(f"{number}: …")
            done = await plot.operate(Random(f"{self._seed} operation {number}"), str(number))
            self._note(f"{number}: {done}")

    async def _strike(self, faults: list[tuple[float, str, float]]) -> None:
        begun = time.monotonic()
        for after, fault, chance in faults:
            await asyncio.sleep(max(0.0, begun + after - time.monotonic()))
            self._note(fault)
            match fault:
                case "kill capsuled":
                    self.capsule.kill()
                    self.capsule.start(wait=False)
                case "kill containerd":
                    with contextlib.suppress(AssertionError, ProcessLookupError):  # between two of them
                        os.kill(self.capsule.containerd_pid(), signal.SIGKILL)
                case "flush rules":
                    self._site.run("nft", "flush", "ruleset")
                case "kill a monitor":
                    for pid, _ in self._observer.monitors():
                        os.kill(pid, signal.SIGKILL)
                case _:
                    self._cut(chance)

    async def _another_hand(self, random: Random) -> None:
        """It changes something, with nobody else at work; that is told and left, until a word mends it."""
        other = OtherHand(self._site, self.capsule, self._run, self._calls)
        wrong, what = await other.choose(
            [plot.wishes for plot in self._plots], random, may_go="kill capsuled" in self.faults
        )
        if what is None:
            return
        self._note(f"another hand: {what}")
        wrong = wrong or await other.act(what)
        if not wrong:
            self.outcome.foreign += 1
            await self._quiet()
            wrong = await other.mend(what)
        if wrong:
            self._note("NOT AS WISHED:\n" + "\n".join(wrong))
        self.outcome.wrong += wrong
        if not self.outcome.wrong:
            await self._quiet()

    def _cut(self, chance: float) -> None:
        listed = [self._site.run("ip", "-j", "link", "show", "type", kind).stdout for kind in ("veth", "tun")]
        links = sorted(one["ifname"] for some in listed for one in json.loads(some or "[]") if one)
        if links:
            self._site.run("ip", "link", "delete", links[int(chance * len(links))])

    async def _quiet(self) -> None:
        """Wait until the world is as it was wished. What is not by then is wrong."""
        deadline, right, wrong = time.monotonic() + QUIET_S, 0, ["nothing could be looked at"]
        while right < SETTLED_LOOKS:
            try:
                wrong = await asyncio.to_thread(self._judge.judge, [plot.wishes for plot in self._plots])
                right = 0 if wrong else right + 1
            except Unquiet as unquiet:
                right, wrong = 0, [str(unquiet)]
            if _is_dead(self.capsule):
                wrong = [f"capsuled ended: {self.capsule.output().strip().splitlines()[-1]}"]
            if wrong and (time.monotonic() > deadline or _is_dead(self.capsule)):
                self.outcome.wrong += wrong
                self._note("NOT AS WISHED:\n" + "\n".join(wrong))
                return
            await asyncio.sleep(0.1)
        self.outcome.quiet_moments += 1
        self._note("quiet")

    def _note(self, what: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {what}", file=self._trace)


def _is_dead(capsule: Daemon) -> bool:
    return capsule.process is None or capsule.process.poll() is not None


def _left_over(place: Site, capsule: Daemon) -> list[str]:
    """Of a capsule that was halted, nothing is left but its state."""
    subprocess.run([*place.inside, CAPSULED, "--state", capsule.state, "--halt"], capture_output=True, check=True)
    run = hosted(capsule.state).run
    return [f"{run} is left after the halt"] if run.exists() else []


def _order(capsule: Daemon) -> tuple[Order, int]:
    """Who began before what it needs, and ended after its users: by the journal; and how many microVMs began."""
    order, boots = Order(), 0
    environment = Environment(capsule.state / "journal", readonly=True)
    try:
        for stored in Reader(environment).entries():
            if (event := decode(stored)) is not None:
                order.told(stored.header, event)
                boots += isinstance(event, WorkloadStarted) and bool(event.accelerator)
    finally:
        environment.close()
    return order, boots


def storm(seed: int, operations: int, keep: Path | None = None) -> Outcome:
    """Run one. What is left of a bad one is copied to `keep`."""
    return on_a_site(seed, lambda one, place: one.rage(operations), keep)


def on_a_site(seed: int, rage: Callable[[Storm, Site], Coroutine[Any, Any, None]], keep: Path | None = None) -> Outcome:
    """Have a storm of this seed `rage` on a machine of its own, and look at what is left when it is over. What is left
    of a bad one is copied to `keep`."""
    build_guest_image()
    with site() as place, daemon(inside=place.inside) as capsule:
        capsule.push_image()

        async def one() -> Outcome:
            made = Storm(place, capsule, seed)  # in the event loop that its channel belongs to
            await rage(made, place)
            return made.outcome

        outcome = asyncio.run(one())
        capsule.stop()
        if not outcome.wrong:
            report = asyncio.run(verify_apart(capsule.state / "journal"))
            outcome.wrong += [finding.problem for finding in report.findings]
            outcome.wrong += _left_over(place, capsule)
            order, outcome.boots = _order(capsule)
            outcome.waited, outcome.wrong = order.starts, outcome.wrong + order.wrong
        if outcome.wrong and keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            for part in ("trace", "out"):
                (keep / part).write_text((capsule.scratch / part).read_text())
            for part in ("journal", "logs"):
                capsule.copy_out(part, keep)
        return outcome
