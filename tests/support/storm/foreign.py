"""Another hand at a workload that is declared with `drift: report`, while nobody else is at work: `capsulectl drift`
lists what it changed and nothing else, nothing mends it, and a word does.
"""

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from random import Random
from typing import NamedTuple

from capsule.v1 import machine_pb2, workload_pb2
from tests.support.daemon import Daemon
from tests.support.site import Site
from tests.support.storm import illness
from tests.support.storm.calls import Calls
from tests.support.storm.operations import manifest_of
from tests.support.storm.wishes import Wishes, WorkloadWish

TOLD_S = 30.0


class Act(NamedTuple):
    """A change: of a run, link or mount of this workload. `away`: the daemon is not there when it is made; `word`: how
    it is mended; `size_mib`: of its volume."""

    name: str
    wish: WorkloadWish
    aspect: str
    away: bool
    word: str
    size_mib: int

    @property
    def object(self) -> str:
        """What it is listed as."""
        return f"volume/{self.wish.program.disk}" if self.aspect == "mount" else f"workload/{self.name}"

    def __str__(self) -> str:
        return f"{self.aspect} of {self.object}{', the daemon away' if self.away else ''}, mended by {self.word}"


class OtherHand:
    """Of one capsule on a site."""

    def __init__(self, site: Site, capsule: Daemon, run: Path, calls: Calls) -> None:
        self._site, self._capsule, self._run, self._calls = site, capsule, run, calls
        self._waiting: set[tuple[str, str]] = set()

    async def choose(self, wishes: list[Wishes], random: Random, may_go: bool = True) -> tuple[list[str], Act | None]:
        """Somebody who runs, and whom nothing but this hand will end; declared from now on to be only reported.
        `may_go`: the daemon may be ended for it."""
        steady = [
            (name, wish)
            for one in wishes
            for name, wish in one.workloads.items()
            if one.lives(wish) and not wish.program.check and illness.program(wish.program.token)
        ]
        # Who was killed before, and waits for another that is stopped or ill, is still not as he is wanted.
        self._waiting = {
            (f"workload/{name}", "run")
            for one in wishes
            for name, wish in one.workloads.items()
            if one.lives(wish) and one.may_wait(wish, _ill(one)) and not illness.program(wish.program.token)
        }
        if not steady:
            return [], None
        name, wish = random.choice(steady)
        aspects = ["run", *(["link"] if wish.program.bridged else []), *(["mount"] if wish.program.disk else [])]
        words = ("start", "apply")
        sizes = {disk: its.size_mib for one in wishes for disk, its in one.disks.items()}
        size = sizes.get(wish.program.disk, 0)
        away = random.random() < 0.3 and may_go
        act = Act(name, wish, random.choice(aspects), away, random.choice(words), size)
        await self._declare(act, workload_pb2.DRIFT_POLICY_REPORT)
        return await self._told(set()), act

    async def act(self, act: Act) -> list[str]:
        """Make the change. What is wrong with what is told of it then."""
        if act.away:
            self._capsule.kill()
        program = illness.program(act.wish.program.token)
        match act.aspect:
            case "run":
                os.kill(program, signal.SIGKILL)
            case "link":
                (space,) = (self._run / "netns").glob(f"{act.name}.*")
                self._site.good("nsenter", f"--net={space}", "--", "ip", "link", "delete", "eth0")
            case _:
                (place,) = Path(f"/proc/{self._site.pid}/root{self._run}/volumes").glob(f"{act.wish.program.disk}.*")
                self._site.good("umount", str(self._run / "volumes" / place.name))
        if act.away:
            self._capsule.start(wait=False)
        wrong = await self._told({(act.object, act.aspect)})
        act.wish.left = act.aspect
        return wrong

    async def mend(self, act: Act) -> list[str]:
        """Say the word, and have it repaired from now on. What is wrong then."""
        if act.word == "start":
            await self._calls.answered("Start", workload_pb2.WorkloadStartRequest(name=act.name))
        else:
            await self._declare(act, workload_pb2.DRIFT_POLICY_REPORT)
        act.wish.left = ""
        wrong = await self._told(set())
        await self._declare(act, workload_pb2.DRIFT_POLICY_REPAIR)
        return wrong

    async def _declare(self, act: Act, policy: workload_pb2.DriftPolicy) -> None:
        """As it is, with this policy; its volume, too."""
        program = act.wish.program
        volume = machine_pb2.DeclaredVolume(name=program.disk, size_bytes=act.size_mib << 20, drift=policy)
        workload = manifest_of(act.name, program, policy)
        request = machine_pb2.ApplyAllRequest(workloads=[workload], volumes=[volume] if program.disk else [])
        await self._calls.answered("ApplyAll", request)

    async def _told(self, wanted: set[tuple[str, str]]) -> list[str]:
        """Until `capsulectl drift` lists just these objects and aspects as another hand's; what is wrong if it never
        does."""
        deadline = time.monotonic() + TOLD_S
        while (told := await asyncio.to_thread(self._listed, self._waiting - wanted)) != wanted:
            if time.monotonic() > deadline:
                return [f"another hand's are {wanted}, and told are {told}"]
            await asyncio.sleep(0.05)
        return []

    def _listed(self, beside: set[tuple[str, str]]) -> set[tuple[str, str]] | str:
        done = self._capsule.ctl("drift", "--label", "foreign", "-o", "json")
        if done.returncode > 1 or not done.stdout:
            return done.stderr
        return {(one["object"], one["aspect"]) for one in json.loads(done.stdout)["differences"]} - beside


def _ill(wishes: Wishes) -> set[str]:
    checked = {name: wish.program for name, wish in wishes.workloads.items() if wish.program.check}
    return {
        name
        for name, program in checked.items()
        if not program.machine and illness.is_ill(program.token, program.check)
    }
