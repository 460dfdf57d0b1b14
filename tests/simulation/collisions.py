"""Operators who want what another has, or say what they take for the present state: told why not, in the manual's words,
and nothing is changed by what was refused.

For once everything is known: nothing fails, and nobody else declares anything meanwhile.
"""

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from capsule.v1 import workload_pb2 as pb
from capsuled.caller import Caller
from capsuled.declare import Result
from capsuled.rpc import Refused
from capsuled.sealing import PREFIX
from journal.errors import HistoryCut
from projections.intents import DeclaredVolume, Delete, Start, Stop
from projections.refusals import Refusal
from projections.state import Machine
from tests.simulation.asking import answered
from tests.simulation.asks import IMAGES, MEANINGS, ROW, Ask, message_of
from tests.simulation.keyholders import actor_of
from tests.simulation.life import Life

if TYPE_CHECKING:
    from tests.simulation.machine import Simulation

HOLDER, PORT = "web", 8_000
"""Whoever has a volume, called like itself, and this host port."""
STRANGERS = ("left", "right")
"""Two whom nobody else knows, gone in the end."""
CHOSEN_FROM = 30_000
"""From here on the machine chooses host ports by itself."""
PASSING = "registry.test/passing:1"
SERVE = ("serve", "1")


class Collisions:
    """Of one simulation. `HOLDER` was told to run with its volume and port, and the second of the row to need the first."""

    def __init__(self, simulation: "Simulation") -> None:
        self._simulation = simulation
        self._random = Random(f"collisions {simulation.seed}")
        self._calls = 0

    async def run(self) -> None:
        """One after another."""
        for name in STRANGERS:
            self._simulation.oracle.asked(name)
        await self._of_two()
        await self._of_order()
        await self._of_sequence()
        await self._of_the_stopped()
        await self._of_the_answered()
        for name in STRANGERS:
            self._simulation.oracle.answered(name)

    async def _of_two(self) -> None:
        """What the holder has, nobody else is given; of two strangers at once each wants it all for itself, too."""
        rival = self._random.choice((*ROW, STRANGERS[0]))
        await self._refused("VOLUME_HELD", self._message(rival, volume=HOLDER))
        await self._refused("PORT_TAKEN", self._message(rival, ports=(PORT,)))
        await self._refused("PORT_TWICE", self._message(rival, ports=(9_500, 9_500)))
        shared = (DeclaredVolume("shared", 64 << 20),)
        await self._refused("VOLUME_HELD", *(self._message(one, volume="shared") for one in STRANGERS), volumes=shared)
        await self._refused("PORT_TAKEN", *(self._message(one, ports=(9_500,)) for one in STRANGERS))
        await self._refused("DUPLICATE_NAME", *(self._message(STRANGERS[0]) for _ in range(2)))

    async def _of_order(self) -> None:
        """Nobody waits for himself, be it by way of others; nor for whom there is not."""
        first, second, _ = ROW
        left, right = STRANGERS
        await self._refused("DEPENDENCY_CYCLE", self._message(first, needs=(second,)))
        await self._refused("DEPENDENCY_CYCLE", self._message(first, needs=(first,)))
        await self._refused("NO_SUCH_DEPENDENCY", self._message(first, needs=("nobody",)))
        circle = self._message(left, needs=(right,)), self._message(right, needs=(left,))
        await self._refused("DEPENDENCY_CYCLE", *circle)
        by_way = self._message(left, needs=(second,)), self._message(first, needs=(left,))
        await self._refused("DEPENDENCY_CYCLE", *by_way)

    async def _of_sequence(self) -> None:
        """A word that says what it was read at is refused unless that is so still: at an earlier and a later one."""
        machine = self._machine
        own = machine.workloads[HOLDER].desired_seq
        other = self._message(HOLDER, volume=HOLDER, ports=(9_500,))
        for wrong in (0, own - 1, own + 1, machine.seq + 1_000):
            await self._refused("SEQUENCE_MISMATCH", other, expect_seq=wrong)
            await self._unswitched("SEQUENCE_MISMATCH", Stop(HOLDER, expect_seq=wrong))
        both = [self._message(one) for one in STRANGERS]
        for wrong in (machine.desired_seq - 1, machine.seq + 1_000):
            await self._refused("SEQUENCE_MISMATCH", *both, expect_seq=wrong)
        await self._refused("SEQUENCE_MISMATCH", both[0], expect_seq=own)
        result = await self._apply([other], expect_seq=own, dry_run=True)
        assert result.outcomes == ("configured",), f"{HOLDER} was to be declared as read at {own}: {result.outcomes}"

    async def _of_the_stopped(self) -> None:
        """Who is stopped keeps its host port, and no volume: that has another by then, and the first does not start.
        Ports that the machine chooses are everybody's own."""
        left, right = STRANGERS
        await self._switch(Stop(HOLDER))
        await self._refused("PORT_TAKEN", self._message(left, ports=(PORT,)))
        await self._apply([self._message(left, volume=HOLDER, ports=(0, 0))], expect_seq=0)
        await self._unswitched("VOLUME_HELD", Start(HOLDER))
        await self._refused("VOLUME_HELD", self._message(HOLDER, volume=HOLDER, ports=(PORT,)))
        result = await self._apply([self._message(right, ports=(0, 0))], expect_seq=0, dry_run=True)
        chosen = [port.host_port for one in STRANGERS for port in result.machine.workloads[one].spec.ports]
        assert len({*chosen}) == 4 and min(chosen) >= CHOSEN_FROM, f"the machine chose host ports {chosen}"
        await self._delete(left)
        await self._switch(Start(HOLDER))

    async def _of_the_answered(self) -> None:
        """A call that is repeated has its answer, although nothing is there any more that it was about: its workload, the
        value that it kept and what its image's name meant, which nobody is asked for again."""
        name, registries = STRANGERS[1], self._simulation.registries
        registries.offer(PASSING, MEANINGS[0])
        await self._apply([self._message(name, image=PASSING)], expect_seq=0)
        kept = PREFIX + self._machine.workloads[name].spec.env[0].sealed
        caller, other = self._caller("apply"), self._message(name, image=PASSING, mode=kept, ports=(0,))
        first = await self._apply([other], caller=caller)
        await self._delete(name)
        del registries.offered[PASSING]
        asked = self._simulation.resolved[PASSING]
        try:
            again = await self._apply([other], caller=caller)
        except HistoryCut as forgotten:
            assert self._simulation.archivist.reaches(first.seq), f"what {first.seq} led to was not cut: {forgotten}"
            return
        assert (again.seq, again.outcomes) == (first.seq, first.outcomes), f"{first.seq} was answered anew: {again.seq}"
        assert self._simulation.resolved[PASSING] == asked, (
            f"for a call that was answered {PASSING} was asked for again"
        )

    async def _delete(self, name: str) -> None:
        uid = self._machine.workloads[name].uid
        await self._switch(Delete(name))
        await answered(self._simulation, lambda life: life.engine.gone(name, uid))

    # --- asking --------------------------------------------------------------------------------------------------

    def _message(
        self,
        name: str,
        *,
        volume: str = "",
        ports: Sequence[int] = (),
        needs: tuple[str, ...] = (),
        image: str = IMAGES[0].names[0],
        mode: str = "",
    ) -> pb.Workload:
        """Of the kind that it has."""
        wish = self._simulation.oracle.wishes.get(name)
        message = message_of(
            name, Ask("apply", SERVE, image=image, port=PORT, needs=needs, vm=wish is not None and wish.vm)
        )
        section = message.micro_vm if message.HasField("micro_vm") else message.container
        section.env["MODE"] = mode or section.env["MODE"]
        del section.ports[:]
        section.ports.extend(pb.PortMapping(container_port=80, host_port=port) for port in ports)
        section.mounts.extend([pb.VolumeMount(volume_name=volume, mount_path="/data")] if volume else [])
        return message

    @property
    def _machine(self) -> Machine:
        assert self._simulation.life is not None
        return self._simulation.life.engine.machine

    def _caller(self, verb: str) -> Caller:
        self._calls += 1
        return Caller(actor_of("collisions"), verb, f"call-{self._calls}", f"{self._calls}")

    async def _apply(
        self,
        messages: Sequence[pb.Workload],
        volumes: Sequence[DeclaredVolume] = (),
        expect_seq: int | None = None,
        dry_run: bool = False,
        caller: Caller | None = None,
    ) -> Result:
        one = caller or self._caller("apply")

        async def call(life: Life) -> Result:
            return await life.declarations.apply(
                messages, one, volumes, expect_seq=expect_seq, pull=False, dry_run=dry_run
            )

        return await answered(self._simulation, call)

    async def _refused(
        self,
        reason: str,
        *messages: pb.Workload,
        volumes: Sequence[DeclaredVolume] = (),
        expect_seq: int | None = None,
    ) -> None:
        """Some only ask what would become of it."""
        before, names = _declared(self._machine), [message.name for message in messages]
        try:
            await self._apply(messages, volumes, expect_seq, dry_run=self._random.random() < 0.3)
        except Refused as refused:
            self._judge(reason, refused.refusal.reason, f"apply {names}", before)
        else:
            raise AssertionError(f"apply {names} at {expect_seq} was to be refused: {reason}")

    async def _switch(self, intent: Stop | Start | Delete) -> str:
        caller = self._caller(type(intent).__name__)
        outcome = await answered(self._simulation, lambda life: life.engine.call(intent, caller))
        return outcome.reason if isinstance(outcome, Refusal) else "ok"

    async def _unswitched(self, reason: str, intent: Stop | Start) -> None:
        before = _declared(self._machine)
        self._judge(reason, await self._switch(intent), str(intent), before)

    def _judge(self, reason: str, told: str, what: str, before: object) -> None:
        self._simulation.trace.note(f"operator: {what} -> {told}")
        assert told == reason, f"{what} was to be refused, {reason}: {told}"
        assert _declared(self._machine) == before, f"{what} was refused, {reason}, and has changed something"


def _declared(machine: Machine) -> object:
    """All that operators declare."""
    workloads = {one.name: (one.spec, one.desired, one.depends_on) for one in machine.workloads.values()}
    return workloads, {one.name: (one.uid, one.size_bytes) for one in machine.volumes.values()}, machine.desired_seq
