"""One random operation on a plot: chosen from what was promised so far, called, and noted as it was answered."""

import asyncio
import time
from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import grpc

from capsule.v1 import rollback_pb2 as back_pb
from capsule.v1 import secret_pb2 as secrets_pb
from capsule.v1 import volume_pb2 as disks_pb
from capsule.v1 import workload_pb2 as pb
from tests.support.refusals import reason_of
from tests.support.storm import illness
from tests.support.storm.calls import Calls
from tests.support.storm.copying import copy
from tests.support.storm.inside import VARIABLE
from tests.support.storm.wishes import Port, Program, Wishes

LABELS = ("morning", "noon", "evening")
SIZES_MIB = (16, 24, 32)
PORTS = 4
"""Host ports that a plot's workloads share; others are the machine's choice."""

KINDS = {
    "apply": 6, "change": 3, "stop": 3, "start": 2, "delete": 2, "create": 3, "resize": 2, "destroy": 1, "take": 3,
    "restore": 2, "drop": 1, "sicken": 6, "heal": 2, "secret": 6, "rollback": 6, "copy": 10,
}  # fmt: skip

# The volume's history has a line for each program that ran on it; the page says which one serves. A restarted program
# adds none: how often it is started the storm decides. Into a microVM nobody sees from outside, so the pages tell what
# it has there.
SCRIPT = """trap 'exit 0' TERM
if [ -d /disk ]; then [ "$(tail -n 1 /disk/lines 2>/dev/null)" = "$0" ] || echo "$0" >> /disk/lines; sync /disk/lines; fi
mkdir -p /tmp/www; echo "$0" > /tmp/www/index.html; touch /tmp/www/well; httpd -p 80 -h /tmp/www
ln -sf /disk/lines /tmp/www/lines; ln -sf "/run/secrets/$1" /tmp/www/secret; echo "$SECRET" > /tmp/www/given
httpd -f -p 81 -h /tmp/www &
while :; do sleep 3600 & wait $!; done"""


PASSES_S = 60.0
"""Within this nothing is in the way any more that was only just ending, or starting."""
APPEARS_S = 5.0
"""So long an illness waits for the program that it is for: it may just be starting."""


class Plot:
    """A volume and two workloads that may mount it; the first is a microVM where `machine` says so."""

    def __init__(self, number: int, mark: str, calls: Calls, machine: bool = False) -> None:
        self.wishes = Wishes()
        self.wrong: list[str] = []
        self._disk = f"d{number}"
        self._names = (f"w{number}", f"x{number}")
        self._machine = self._names[0] if machine else ""
        self._silent = "GUEST_SILENT" if machine else ""
        self._ports = tuple(8000 + 10 * number + at for at in range(PORTS))
        self._mark = mark
        self._calls = calls
        self._secret = f"s{number}"
        self.kinds = KINDS
        self.illnesses = 0
        self.done: Counter[str] = Counter()

    async def operate(self, random: Random, token: str) -> str:
        """Do one thing. Returns it in words."""
        kind = random.choices(tuple(self.kinds), tuple(self.kinds.values()))[0]
        name = random.choice(self._names)
        done = await self._one(kind, name, random, token)
        if kind not in ("take", "drop", "secret"):
            self.wishes.calm = False
        return done

    async def prepare(self) -> None:
        """There is a secret to name from the beginning, and a microVM that has a volume."""
        await self._change_secret("Conceal", "value-first")
        if self._machine:
            await self._on_disk("create", Random(0))
            first = Program(f"{self._mark}-first", True, (), self._disk, "http", secret=self._secret, machine=True)
            await self._apply(self._machine, first)

    async def begin_again(self) -> None:
        """Behind a boot, which begins nothing again that is to run once: its operator does."""
        for name, wish in self.wishes.workloads.items():
            if wish.running and wish.program.told:
                why = self.wishes.against_running(name, wish.program)
                await self._asked(f"start {name}", "Start", pb.WorkloadStartRequest(name=name), why)

    async def tidy(self) -> None:
        """Nothing is wanted any more."""
        for name in tuple(self.wishes.workloads):
            await self._delete(name)
        for _ in tuple(self.wishes.disks):
            await self._destroy(force=False)
        if self.wishes.secrets.get(self._secret):
            await self._change_secret("Forget", "")

    async def _one(self, kind: str, name: str, random: Random, token: str) -> str:
        if kind in ("rollback", "copy") and name not in self.wishes.workloads:
            # They need somebody: without, the first one comes.
            name = next(iter(self.wishes.workloads), name)
            kind = kind if name in self.wishes.workloads else "apply"
        wish = self.wishes.workloads.get(name)
        if kind == "rollback" and wish is not None and len(wish.revisions) < 2 and random.random() < 0.8:
            kind = "change"  # so that there is something to go back to
        match kind:
            case "apply":
                return await self._apply(name, self._drawn(name, random, token))
            case "change" if wish is not None:
                old = wish.program
                return await self._apply(name, replace(old, token=f"{self._mark}-{token}"))
            case "stop" if wish is not None:
                if await self._asked(f"stop {name}", "Stop", pb.WorkloadStopRequest(name=name)):
                    wish.running = False
                return f"stop {name}"
            case "start" if wish is not None:
                why = self.wishes.against_running(name, wish.program)
                if await self._asked(f"start {name}", "Start", pb.WorkloadStartRequest(name=name), why):
                    wish.running = True
                return f"start {name}"
            case "delete" if wish is not None:
                return await self._delete(name)
            case "secret":
                there = bool(self.wishes.secrets.get(self._secret))
                likely = "Rotate" if there else "Conceal"
                verb = random.choice(("Conceal", "Rotate", "Forget", *(likely,) * 5))
                return await self._change_secret(verb, f"value-{token}")
            case "rollback" if wish is not None:
                return await self._roll_back(name)
            case "copy" if wish is not None and wish.running:
                # One that is told of only begins once.
                restart = random.random() < 0.5 and not wish.program.told
                done, wrong = await copy(self._calls, name, wish, random, restart)
                self.wrong += wrong
                self.done["copies"] += 1
                return done
            case "sicken" | "heal" if checked := self._checked():
                return await self._touch(kind, *random.choice(checked))
        return await self._on_disk(kind, random)

    async def _on_disk(self, kind: str, random: Random) -> str:
        name, disk, label = self._disk, self.wishes.disks.get(self._disk), random.choice(LABELS)
        size = random.choice(SIZES_MIB)
        if disk is None:
            what = f"create {name} {size}MiB"
            if await self._asked(what, "Create", disks_pb.VolumeCreateRequest(name=name, size_mib=size)):
                self.wishes.disk_created(name, size)
            return what
        match kind:
            case "resize" | "create":
                why, what = self.wishes.against_resize(name, size), f"resize {name} to {size}MiB"
                if await self._asked(what, "Resize", disks_pb.VolumeResizeRequest(name=name, new_size_mib=size), why):
                    disk.size_mib = size
                return what
            case "destroy":
                return await self._destroy(force=random.random() < 0.7)
            case "drop":
                what = f"drop {name}@{label}"
                if await self._asked(what, "Drop", disks_pb.SnapshotDeleteRequest(volume=name, name=label)):
                    disk.snapshots.pop(label, None)
                return what
            case "restore":
                return await self._restore(label)
            case _:
                why, what = "it is there" if label in disk.snapshots else "", f"take {name}@{label}"
                request = disks_pb.SnapshotTakeRequest(volume=name, name=label)
                if await self._asked(what, "Take", request, why, passing=self._silent):
                    self.wishes.snapshot_taken(name, label)
                return what

    async def _restore(self, label: str) -> str:
        name, disk = self._disk, self.wishes.disks[self._disk]
        why, what = "" if label in disk.snapshots else "there is none", f"restore {name}@{label}"
        request = disks_pb.SnapshotRestoreRequest(volume=name, name=label)
        answer = await self._asked(what, "Restore", request, why, passing=self._silent)
        if answer:
            if answer.safety in disk.snapshots:
                self.wrong.append(f"{what}: its safety snapshot is called {answer.safety}, as another")
            self.wishes.restored(name, label, answer.safety)
        return what

    async def _destroy(self, force: bool) -> str:
        name = self._disk
        why = "it is mounted" if self.wishes.mounts(name) and not force else ""
        what = f"destroy {name}{' by force' if force else ''}"
        if await self._asked(what, "Destroy", disks_pb.VolumeDeleteRequest(name=name, force=force), why):
            del self.wishes.disks[name]
        return what

    async def _delete(self, name: str) -> str:
        if await self._asked(f"delete {name}", "Delete", pb.WorkloadDeleteRequest(name=name)):
            del self.wishes.workloads[name]
        return f"delete {name}"

    async def _change_secret(self, verb: str, value: str) -> str:
        name, what = self._secret, f"{verb} {self._secret} {value}"
        why = self.wishes.against_secret(verb, name)
        request: Any = secrets_pb.SecretRemoveRequest(name=name)
        if verb != "Forget":
            kind = secrets_pb.SecretCreateRequest if verb == "Conceal" else secrets_pb.SecretRotateRequest
            request = kind(name=name, value=value.encode())
        # What was just applied without it may not have replaced yet what runs with it.
        if await self._asked(what, verb, request, why, passing="" if why else "SECRET_IN_USE"):
            self.done["secrets"] += 1
            if verb == "Forget":
                self.wishes.secrets[name] = []
            else:
                self.wishes.secrets.setdefault(name, []).append(value)
        return what

    async def _roll_back(self, name: str) -> str:
        """To the revision before the present one."""
        what, why = f"roll {name} back", self.wishes.against_rollback(name)
        before = self.wishes.workloads[name]
        program = before.revisions[-2].program if len(before.revisions) > 1 else before.program
        # A host port that the machine chose then may be another plot's by now.
        chosen = any(port.host_port not in self._ports for port in program.ports)
        request = back_pb.RollbackRequest(name=name, previous=True)
        if await self._asked(what, "Rollback", request, why, may="PORT_TAKEN" if chosen else ""):
            given = await self._calls.answered("Get", pb.WorkloadGetRequest(name=name))
            self._acknowledged(what, name, program, given)
            self.done["rollbacks"] += 1
        return what

    def _checked(self) -> list[tuple[str, Program]]:
        workloads = sorted(self.wishes.workloads.items())
        return [
            (name, wish.program)
            for name, wish in workloads
            if wish.running and wish.program.check and not wish.program.machine
        ]

    async def _touch(self, kind: str, name: str, program: Program) -> str:
        """Make it ill, or well again as far as that can be done from outside. One that does not run is neither."""
        deadline = time.monotonic() + APPEARS_S
        while not (pid := await asyncio.to_thread(illness.program, program.token)):
            if time.monotonic() > deadline:
                return f"{kind} {name}, which does not run"
            await asyncio.sleep(0.05)
        if kind == "sicken":
            illness.sicken(pid, program.check)
            self.illnesses += 1
        elif program.check != "tcp":
            illness.heal(pid)
        return f"{kind} {name} ({program.check}{', to be told' if program.told else ''})"

    def _drawn(self, name: str, random: Random, token: str) -> Program:
        (other,) = {*self._names} - {name}
        needs = (other,) if random.random() < (0.6 if other in self.wishes.workloads else 0.15) else ()
        secret = self._secret if random.random() < (0.5 if self.wishes.secrets.get(self._secret) else 0.1) else ""
        machine = name == self._machine
        if random.random() < 0.2 and not machine:
            # An end of it would be for good: it has nothing whose change ends it.
            return Program(f"{self._mark}-{token}", False, check="exec", told=True, needs=needs, secret=secret)
        bridged = random.random() < 0.8 or machine
        check = random.choice(illness.CHECKS if bridged else ("exec",)) if random.random() < 0.6 else ""
        count = random.choice((0, 1, 1, 2)) if bridged else 0
        chosen = random.sample((0, *self._ports), count)
        ports = tuple(Port(random.choice(("tcp", "tcp", "udp")), port, 80) for port in chosen)
        disk = self._disk if random.random() < 0.6 else ""
        return Program(f"{self._mark}-{token}", bridged, ports, disk, check, False, needs, secret, machine)

    async def _apply(self, name: str, program: Program) -> str:
        what = f"apply {name}: {program}"
        request = pb.WorkloadApplyRequest(workload=manifest_of(name, program))
        answer = await self._asked(what, "Apply", request, self.wishes.against_apply(name, program))
        if answer:
            self._acknowledged(what, name, program, answer.workload)
        return what

    def _acknowledged(self, what: str, name: str, program: Program, given: pb.Workload) -> None:
        before = self.wishes.workloads.get(name)
        mapped = (*given.container.ports, *given.micro_vm.ports)
        ports = tuple(Port(one.protocol, one.host_port, one.container_port) for one in mapped)
        address = given.status.address if program.bridged else ""
        if program.bridged and before is not None and before.address not in ("", address):
            self.wrong.append(f"{what}: its address was {before.address}, and is {address}")
        self.wishes.applied(name, replace(program, ports=ports), address)

    async def _asked(
        self, what: str, method: str, request: Any, why_not: str = "", may: str = "", passing: str = ""
    ) -> Any | None:
        """The answer, or None when it was rightly refused; `may`: a reason that nobody here can know of; `passing`: one
        that has to pass by itself. What was answered wrongly is noted."""
        deadline = time.monotonic() + PASSES_S
        try:
            while True:
                try:
                    answer = await self._calls.answered(method, request)
                    break
                except grpc.aio.AioRpcError as error:
                    if not passing or reason_of(error) != passing or time.monotonic() > deadline:
                        raise
                    await asyncio.sleep(0.2)
        except grpc.aio.AioRpcError as error:
            if may and reason_of(error) == may:
                return None
            if not why_not or error.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN):
                self.wrong.append(f"{what} was refused: {error.code().name}: {error.details()}")
            return None
        if why_not:
            self.wrong.append(f"{what} was accepted, although {why_not}")
        return answer


def manifest_of(name: str, program: Program, drift: pb.DriftPolicy = pb.DRIFT_POLICY_REPAIR) -> pb.Workload:
    """The declaration of a workload."""
    kind: Any = pb.MicroVMSpec if program.machine else pb.ContainerSpec
    spec = kind(
        image="demo:1", command=["sh", "-c", SCRIPT, program.token, program.secret], stop_grace_seconds=2,
        ports=[pb.PortMapping(container_port=port.container_port, host_port=port.host_port, protocol=port.protocol)
               for port in program.ports],
        mounts=[pb.VolumeMount(volume_name=program.disk, mount_path="/disk")] if program.disk else [],
        restart_policy=pb.RestartPolicy(backoff_first_ms=200, backoff_cap_ms=1_000),
        restart=pb.RESTART_MODE_NEVER if program.told else pb.RESTART_MODE_ALWAYS,
        health=_check(program.check),
        secret_env={VARIABLE: program.secret} if program.secret else {},
        secrets=[pb.SecretFile(secret=program.secret)] if program.secret else [],
    )  # fmt: skip
    if program.machine:
        return pb.Workload(name=name, micro_vm=spec, depends_on=program.needs, drift=drift)
    spec.network_mode = pb.NETWORK_MODE_BRIDGE if program.bridged else pb.NETWORK_MODE_NONE
    return pb.Workload(name=name, container=spec, depends_on=program.needs, drift=drift)


def _check(kind: str) -> pb.HealthCheck | None:
    if not kind:
        return None
    check = pb.HealthCheck(interval_ms=1_000, timeout_ms=5_000, retries=2, start_period_ms=10_000)
    match kind:
        case "exec":
            check.exec[:] = ["test", "-e", f"/{illness.WELL}"]
        case "http":
            check.http.port, check.http.path = 80, "/well"
        case _:
            check.tcp.port = illness.TCP_PORT
    return check
