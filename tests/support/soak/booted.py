"""The soak of the built disk in a virtual machine: stretches of operations and faults, each ended by a power cut, a reboot
or an update into the other slot; and behind each nothing is wanted, so that what is left over shows. Without microVMs:
the machine is emulated itself, and a kernel inside one of its own takes minutes there.
"""

import asyncio
import json
import subprocess
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import grpc
import msgspec
import yaml

from capsulectl.operator_key import load
from tests.support.booted import ROOT, Booted
from tests.support.daemon import CTL
from tests.support.soak.census import GROWS_MIB, HANDLES, POOLED, THREADS
from tests.support.storm.bursts import drawn
from tests.support.storm.calls import OPTIONS, Calls, Metadata
from tests.support.storm.operations import KINDS, Plot
from tests.support.storm.wishes import WorkloadWish
from tests.support.switching.machine import until_answers

PLOTS = 3
STRETCH_S = 240.0
BURST_MOST = 6
QUIET_S = 420.0
UPDATE_S = 1_800
GLASS_S = 120.0
GLASS = Path(__file__).parent / "glass.py"
ENDS = ("update", "power cut", "reboot")
FAULTS = {
    "kill capsuled": "kill -KILL $(cat /perm/capsuled.pid)",
    "kill containerd": "kill -KILL $(pidof containerd)",
    "cut a link": "ls /sys/class/net | grep -E '^veth' | head -n 1 | xargs -r ip link delete || true",
}


class BootedSoak(msgspec.Struct):
    """What it came to. `looks` are what the glass showed while nothing was wanted."""

    seed: int
    operations: int = 0
    faults: int = 0
    quiet_moments: int = 0
    seconds: float = 0.0
    ends: dict[str, int] = {}
    entries: int = 0
    looks: list[dict[str, Any]] = []
    wrong: list[str] = []


class Unquiet(Exception):
    """Raised when the machine does not answer just now."""


class Soaked:
    """One machine that was adopted and has the demo image."""

    def __init__(self, machine: Booted, seed: int, tell: Callable[[str], None]) -> None:
        self.outcome = BootedSoak(seed)
        self._machine = machine
        self._tell = tell
        self._mark = f"soak{seed}"
        self._calls = _calls(machine, self._mark)
        self._plots = [Plot(number, self._mark, self._calls) for number in range(PLOTS)]
        for plot in self._plots:
            plot.kinds = {kind: often for kind, often in KINDS.items() if kind not in ("sicken", "heal")}
        self._ends = cycle(ENDS)

    async def run(self, minutes: float) -> None:
        """Stretches until the time is over, and a last look."""
        outcome, begun = self.outcome, time.monotonic()
        try:
            while time.monotonic() < begun + minutes * 60 and not outcome.wrong:
                await asyncio.gather(*(plot.prepare() for plot in self._plots))
                over = time.monotonic() + STRETCH_S
                while time.monotonic() < over and not outcome.wrong:
                    await self._burst(Random(f"{outcome.seed} burst {outcome.operations}"))
                if not outcome.wrong:
                    await self._end(next(self._ends))
                    await self._quiet()
                if not outcome.wrong:
                    await asyncio.gather(*(plot.tidy() for plot in self._plots))
                    await self._quiet()
                    await self._look((time.monotonic() - begun) / 60)
        finally:
            outcome.seconds = round(time.monotonic() - begun, 1)
            await self._calls.close()

    # --- what is done --------------------------------------------------------------------------------------------

    async def _burst(self, random: Random) -> None:
        count = random.randint(1, BURST_MOST)
        work, faults = drawn(random, count, self.outcome.operations, PLOTS, dict.fromkeys(FAULTS, 1))
        await asyncio.gather(*(self._work(*one) for one in zip(self._plots, work, strict=True)), self._strike(faults))
        self.outcome.operations += count
        self.outcome.faults += len(faults)
        self.outcome.wrong += [one for plot in self._plots for one in plot.wrong]
        if not self.outcome.wrong:
            await self._quiet()

    async def _work(self, plot: Plot, numbers: list[int]) -> None:
        for number in numbers:
            done = await plot.operate(Random(f"{self.outcome.seed} operation {number}"), str(number))
            self._tell(f"  {number}: {done}")

    async def _strike(self, faults: list[str]) -> None:
        for fault in faults:
            self._tell(f"  {fault}")
            # Whether the shell that does it is told of its end does not matter.
            argv = ("capsule", "debug", "-q", "--", "chroot", "/host", "sh", "-c", FAULTS[fault])
            await asyncio.to_thread(self._machine.ctl, *argv)

    async def _end(self, how: str) -> None:
        """Of a stretch. The machine is up again when this returns."""
        self._tell(f"  {how}")
        machine = self._machine
        before = await asyncio.to_thread(until_answers, machine)
        match how:
            case "power cut":
                machine.pull_the_plug()
                machine.switch_on()
            case "reboot":
                await asyncio.to_thread(machine.good, "capsule", "reboot", "--yes", "--no-wait")
            case _:
                bundle = str(ROOT / "build/update.tar")
                options = ("--auto-confirm", "3s", "--allow-downgrade", "--yes", "--timeout", "600")
                await asyncio.to_thread(lambda: machine.good("update", "push", bundle, *options, timeout=UPDATE_S))
        await asyncio.to_thread(until_answers, machine, "", before["bootId"])
        await asyncio.gather(*(plot.begin_again() for plot in self._plots))
        self.outcome.ends[how] = self.outcome.ends.get(how, 0) + 1

    # --- what has to be so ---------------------------------------------------------------------------------------

    async def _quiet(self) -> None:
        """Wait until the machine is as it was wished. What is not by then is wrong."""
        deadline = time.monotonic() + QUIET_S
        while True:
            try:
                wrong = await asyncio.to_thread(self._judge)
            except Unquiet as unquiet:
                wrong = [str(unquiet)]
            if not wrong:
                self.outcome.quiet_moments += 1
                return
            if time.monotonic() > deadline:
                self.outcome.wrong += wrong
                return
            await asyncio.sleep(1)

    def _judge(self) -> list[str]:
        wishes = [plot.wishes for plot in self._plots]
        told = {one["name"]: one["status"] for one in self._read("list")["workloads"]}
        declared = {name: wish for one in wishes for name, wish in one.workloads.items()}
        living = {
            name: wish
            for one in wishes
            for name, wish in one.workloads.items()
            if one.lives(wish) and (_runs(told.get(name, {})) or not one.may_wait(wish, ()))
        }
        wrong = (
            [f"there are {sorted(told)}, and should be {sorted(declared)}"] if told.keys() != declared.keys() else []
        )
        wrong += [f"{name} is {told[name]['phase']}" for name in living if name in told and not _runs(told[name])]
        disks = {name: disk for one in wishes for name, disk in one.disks.items()}
        found = {one["name"]: int(one["sizeBytes"]) >> 20 for one in self._read("volume", "list")}
        sizes = {name: disk.size_mib for name, disk in disks.items()}
        wrong += [] if found == sizes else [f"there are the volumes {found}, and should be {sizes}"]
        return wrong or self._judge_inside(living)

    def _judge_inside(self, living: dict[str, WorkloadWish]) -> list[str]:
        doors = {name: wish.address for name, wish in living.items() if wish.program.bridged}
        seen = self._glass(tuple(doors.values()))
        tokens = sorted(wish.program.token for wish in living.values())
        wrong = []
        if sorted(seen["programs"]) != tokens or any(one != 1 for one in seen["programs"].values()):
            wrong.append(f"there run {seen['programs']}, and should {tokens}")
        if len(seen["shims"]) != len(tokens):
            wrong.append(f"there are the shims {seen['shims']}, for {tokens}")
        for name, address in doors.items():
            says, lines = seen["pages"][address]
            token = living[name].program.token
            if says != token:
                wrong.append(f"{name} at {address} says {says!r}, not {token}")
            elif living[name].program.disk:
                wrong += self._judge_lines(name, token, tuple((lines or "").split()))
        return wrong

    def _judge_lines(self, name: str, token: str, lines: tuple[str, ...]) -> list[str]:
        (one,) = (plot.wishes for plot in self._plots if name in plot.wishes.workloads)
        disk = one.disks[one.workloads[name].program.disk]
        if lines[: len(disk.lines)] != disk.lines or set(lines) - disk.written or lines[-1:] != (token,):
            return [f"the volume of {name} held {disk.lines}, and holds {lines}; {token} runs on it"]
        disk.lines, one.calm = lines, True
        return []

    # --- what is left --------------------------------------------------------------------------------------------

    async def _look(self, minute: float) -> None:
        outcome = self.outcome
        for command in (("journal", "verify"), ("replay", "--verify"), ("drift",)):
            done = await asyncio.to_thread(self._machine.ctl, *command)
            if done.returncode:
                outcome.wrong.append(f"capsulectl {' '.join(command)}: {done.stdout}{done.stderr}")
        seen = await asyncio.to_thread(self._glass, ())
        outcome.entries = int((await asyncio.to_thread(self._read, "journal", "stats"))["lastSeq"])
        daemon, runtime = seen["daemon"], seen["runtime"]
        self._tell(
            f"{minute:5.1f} min {outcome.operations:>4} operations {outcome.entries:>6} entries; capsuled {daemon}, "
            f"containerd {runtime}; {sum(seen['processes'].values())} processes, {len(seen['mounts'])} mounts, "
            f"/perm {seen['perm_mib']} MiB"
        )
        outcome.looks.append({"minute": round(minute, 1), **seen})
        outcome.wrong += _lost(outcome.looks[0], seen)

    # --- how it is asked -----------------------------------------------------------------------------------------

    def _read(self, *arguments: str) -> Any:
        done = self._machine.ctl(*arguments, "-o", "json")
        if done.returncode:
            raise Unquiet(done.stderr)
        return json.loads(done.stdout)

    def _glass(self, pages: tuple[str, ...]) -> dict[str, Any]:
        argument = json.dumps({"mark": self._mark, "pages": pages})
        argv = [CTL, "capsule", "debug", "-q", "--", "chroot", "/host", "python3", "-", argument]
        try:
            done = subprocess.run(
                argv, env=self._machine.environment, input=GLASS.read_text(), capture_output=True, text=True,
                timeout=GLASS_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as silent:
            raise Unquiet(f"what looks into the machine has not come back within {GLASS_S:.0f} s") from silent
        if done.returncode:
            raise Unquiet(done.stderr or done.stdout)
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def _runs(status: dict[str, Any]) -> bool:
    return status.get("phase") == "WORKLOAD_PHASE_RUNNING"


def _lost(first: dict[str, Any], last: dict[str, Any]) -> list[str]:
    """What there is more of than at the first look. Processes are others after each boot, and begin with less."""
    wrong = [
        f"{what}: there were {first[what]}, and are {last[what]}"
        for what in ("processes", "mounts", "groups", "links", "mapped", "shims", "programs")
        if first[what] != last[what]
    ]
    for name, pooled in (("daemon", POOLED), ("runtime", 0)):
        before, after = first[name], last[name]
        for what, more in (("handles", HANDLES), ("threads", THREADS + pooled), ("memory_mib", GROWS_MIB)):
            if after[what] > before[what] + more:
                wrong.append(f"{name}: {what} were {before[what]}, and are {after[what]}")
    if last["perm_mib"] > first["perm_mib"] + GROWS_MIB:
        wrong.append(f"/perm had {first['perm_mib']} MiB, and has {last['perm_mib']}")
    return wrong


def _calls(machine: Booted, mark: str) -> Calls:
    """As the operator who adopted it."""
    config = yaml.safe_load((machine.place / "config/config.yaml").read_text())
    context = config["contexts"][config["current"]]
    key = load(Path(context["key_path"]))
    pem = machine.place / "config/certificates" / f"{context['tls_fingerprint_sha256']}.pem"
    channel = grpc.aio.secure_channel(
        context["addr"],
        grpc.ssl_channel_credentials(pem.read_bytes()),
        options=[("grpc.ssl_target_name_override", "capsule"), ("grpc.enable_http_proxy", 0), *OPTIONS],
    )

    def signed() -> Metadata:
        return (("authorization", f"Bearer {key.token(context['capsule_id'])}"),)

    return Calls(channel, mark, signed)


def soak(machine: Booted, seed: int, minutes: float, tell: Callable[[str], None]) -> BootedSoak:
    """Run one on a machine that is adopted and has the demo image."""

    async def one() -> BootedSoak:
        made = Soaked(machine, seed, tell)  # in the event loop that its channel belongs to
        await made.run(minutes)
        return made.outcome

    return asyncio.run(one())
