"""Who keeps the secrets of a simulated machine, and what must be in the hands of its workloads in the end."""

import asyncio
from collections.abc import AsyncIterator, Sequence, Set
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import TYPE_CHECKING

from capsuled.caller import Caller
from capsuled.secrets import sealed_text, value_of
from effects.runs.twin import TwinContainer, World
from effects.secrets.protocol import place_of
from effects.secrets.twin import Shelf
from journal.entry import LOCAL
from projections.intents import CreateSecret, RemoveSecret, RotateSecret, SecretIntent
from projections.refusals import Refusal
from projections.state import Machine
from tests.simulation.always import staying
from tests.simulation.asking import answered
from tests.simulation.life import Life
from tests.support.vault import OpenVault

if TYPE_CHECKING:
    from tests.simulation.machine import Simulation

KEY = "key"
VARIABLE = "KEY"
FILE = "/run/secrets/key"


class Safe(OpenVault):
    """Sealed values that outlive every daemon, under names that say nothing of them."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def name_of(self, value: str) -> str:
        """See capsuled.resolve.Sealer."""
        name = sha256(value.encode()).hexdigest()[:32]
        self._values[name] = value
        return name

    @asynccontextmanager
    async def kept(self, values: Sequence[str], names: Set[str] = frozenset()) -> AsyncIterator[frozenset[str]]:
        """Sealing takes a while, in which the state goes on."""
        await asyncio.sleep(0.05)
        async with super().kept(values, names) as gone:
            yield gone

    def open(self, name: str) -> str:
        """See capsuled.secrets.Unsealer."""
        return self._values[name]


class Safekeeper:
    """Makes, changes and removes one secret, and remembers the value that was acknowledged last."""

    def __init__(self, simulation: "Simulation") -> None:
        self._simulation = simulation
        self._random = simulation.random
        self._calls = 0
        self.value = ""
        self.users: set[str] = set()
        self.settled = asyncio.Event()
        self.hurry = asyncio.Event()
        """Nobody knows of a run whether it lives: another value just now is hard to do right."""
        self.wrong: list[str] = []

    async def run(self) -> None:
        """Until there are no more faults; then the secret is there."""
        while self._simulation.faults:
            try:
                async with asyncio.timeout(self._random.expovariate(0.5)):
                    await self.hurry.wait()
            except TimeoutError:
                pass
            verb = self._random.choice(("create", "create", "rotate", "rotate", "rotate", "rm"))
            await self._until_answered("rotate" if self.hurry.is_set() else verb)
            self.hurry.clear()
        await self._until_answered("create")
        self.settled.set()

    async def last_word(self) -> None:
        """What runs is told of another value, without faults."""
        await self._until_answered("rotate")

    def told(self, name: str, uses: bool) -> None:
        """A workload was acknowledged with the secret, or without it, or is gone."""
        (self.users.add if uses else self.users.discard)(name)

    async def _until_answered(self, verb: str) -> None:
        self._calls += 1
        value, call_id = f"value-{self._calls}", f"call-secret-{self._calls}"
        asked = (LOCAL.id, f"secret {verb}", KEY)
        answer = await answered(self._simulation, lambda life: self._call(life, verb, value, call_id), asked)
        self._simulation.trace.note(f"operator: secret {verb} {value} -> {answer}")

    async def _call(self, life: Life, verb: str, value: str, call_id: str) -> str:
        sealed = self._simulation.safe.name_of(sealed_text(KEY, value.encode()))
        intent: SecretIntent = RemoveSecret(KEY)
        if verb != "rm":
            intent = (CreateSecret if verb == "create" else RotateSecret)(KEY, sealed, len(value), text=True)
        answer = await life.engine.call(intent, Caller(LOCAL, f"secret {verb}", call_id, f"{verb} {value}"))
        if isinstance(answer, Refusal):
            return answer.reason
        self.value = "" if verb == "rm" else value
        if verb == "rm" and (users := self.users - self._simulation.oracle.open_calls):
            self.wrong.append(f"the secret was removed although {sorted(users)} use it")
        return "ok"

    def judge(self, world: World, shelf: Shelf, machine: Machine) -> list[str]:
        """What runs has the present value in its file; in its environment, too, or is known not to. Nothing else has."""
        wrong = list(self.wrong)
        alive = {key[:2]: one for key, one in world.containers.items() if one.status == "running"}
        wishes = self._simulation.oracle.wishes
        for name, uid in shelf.places.keys() - alive.keys():
            # Between two runs they stay.
            if name not in self.users or wishes[name].wanted != "running":
                wrong.append(f"secrets of {name}.{uid} are in memory, and it does not run")
        for (name, uid), container in alive.items():
            place = {path: file.content.decode() for path, file in shelf.places.get((name, uid), {}).items()}
            wanted = {place_of(FILE): self.value} if name in self.users else {}
            if place != wanted:
                wrong.append(f"{name} has {place} in memory, and should have {wanted}")
            wrong += self._judge_copies(name, container, shelf) + self._judge_environment(name, container, machine)
        return wrong

    def judge_guests(self, world: World, shelf: Shelf, machine: Machine) -> list[str]:
        """At any moment: a microVM for which nothing is due has the values that the machine has for it. One that is to
        end, as soon as those that use it have ended, is given nothing any more."""
        wrong: list[str] = []
        for (name, _, _), container in staying(machine, world):
            wrong += self._judge_copies(name, container, shelf)
        for (name, _, _), container in staying(machine, world, ("microvm", "container")):
            given, run = dict(container.run.env).get(VARIABLE), machine.workloads[name].run
            if given is None or run is None or KEY not in machine.secrets:
                continue
            present = value_of(self._simulation.safe.open(machine.secrets[KEY].sealed), KEY).decode()
            if (KEY in run.outdated) != (given != present):
                wrong.append(f"{name} has {given} of {present}, told as {run.outdated}")
        return wrong

    def _judge_copies(self, name: str, container: TwinContainer, shelf: Shelf) -> list[str]:
        """A microVM has what the machine has."""
        stale = {source for source, had in container.secrets.items() if had != shelf.directory(source)}
        return [f"{name} has former secrets in its guest: {sorted(stale)}"] if stale else []

    def _judge_environment(self, name: str, container: TwinContainer, machine: Machine) -> list[str]:
        given = dict(container.run.env).get(VARIABLE)
        if name not in self.users:
            return [] if given is None else [f"{name} was given {given}, and is not to have the secret"]
        if not self._simulation.oracle.wishes[name].variable:
            return [] if given is None else [f"{name} was given {given}, and is to have a file only"]
        if given is None or not container.run.secrets:
            return [f"{name} was not given the secret"]
        run = machine.workloads[name].run
        told = run is not None and KEY in run.outdated
        return (
            [] if told == (given != self.value) else [f"{name} has {given}, told as {'former' if told else 'present'}"]
        )
