"""Keys that come and go while everything breaks, and their own judge: what was acknowledged is what is remembered.

The rules of who may stay are written down here again, in a few lines, and share no code with admission.
"""

import asyncio
import base64
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from capsuled.caller import Caller
from journal.entry import Actor, Header
from journal.events import CallAccepted, Event
from journal.specs import Role
from projections.intents import AddKey, Adopt, ChangeRole, Intent, RemoveKey
from projections.refusals import Refusal
from projections.state import Machine
from tests.simulation.asking import answered

if TYPE_CHECKING:
    from tests.simulation.machine import Simulation

KEYS = ("anna", "bert", "carl", "dora")
ROLES: tuple[Role, ...] = ("admin", "operator", "reader")
PAUSE_S = 2.0


def actor_of(name: str) -> Actor:
    """Whoever drives the workload of this name: an operator with a key, so that call ids are theirs."""
    return Actor("operator", f"kid-of-{name}", name, "operator")


@dataclass
class Keyholders:
    """One hand that changes keys, and what it was told."""

    simulation: "Simulation"
    held: dict[str, Role] = field(default_factory=dict)
    by: dict[str, str] = field(default_factory=dict)
    calls: int = 0
    asking: bool = False

    def __post_init__(self) -> None:
        self.random = Random(f"keys {self.simulation.seed}")

    async def run(self) -> None:
        """While faults last, and once more without."""
        while self.simulation.faults:
            await asyncio.sleep(self.random.expovariate(1 / PAUSE_S))
            await self._until_answered()
        await self._until_answered()

    async def _until_answered(self) -> None:
        kid, role = self.random.choice(KEYS), self.random.choice(ROLES)
        verb = self.random.choice(("adopt", "add", "add", "remove", "change"))
        caller = self.random.choice([actor_of("keys"), *(Actor("operator", one, one, "admin") for one in KEYS)])
        self.calls += 1
        call_id = f"call-key-{self.calls}"
        expected = self._expected(verb, kid, role)
        self.asking = True
        clock = self.simulation.clock
        outcome = await answered(
            self.simulation,
            lambda life: life.engine.call(
                _intent(verb, kid, role, clock.boot_id, clock.mono_ns()), Caller(caller, verb, call_id, f"{kid} {role}")
            ),
            (caller.id, verb, kid),
        )
        answer = outcome.reason if isinstance(outcome, Refusal) else "ok"
        assert answer == expected, f"{verb} {kid} {role} with {self.held}: {answer}, not {expected}"
        if answer == "ok":
            self._done(verb, kid, role)
            self.by[call_id] = caller.id
        self.asking = False
        self.simulation.trace.note(f"operator: {verb} key {kid} {role} -> {answer}")

    def _expected(self, verb: str, kid: str, role: Role) -> str:
        known = kid in self.held
        alone = [one for one, its in self.held.items() if its == "admin"] == [kid]
        match verb:
            case "adopt":
                return "ok" if known or not self.held else "ADOPTION_CLOSED"
            case "add":
                first = not self.held and role != "admin"
                return "KEY_ENROLLED" if known else "NO_ADMIN" if first else "ok"
            case "remove":
                return "LAST_ADMIN" if alone else "ok" if known else "KEY_NOT_FOUND"
            case _:
                if not known:
                    return "KEY_NOT_FOUND"
                return "LAST_ADMIN" if alone and role != "admin" else "ok"

    def _done(self, verb: str, kid: str, role: Role) -> None:
        match verb:
            case "adopt":
                self.held.setdefault(kid, "admin")
            case "remove":
                del self.held[kid]
            case _:
                self.held[kid] = role

    def judge_memory(self, machine: Machine) -> list[str]:
        """What a daemon that starts, or the end of the run, remembers otherwise than it was acknowledged."""
        remembered = {kid: operator.role for kid, operator in machine.operators.items()}
        wrong = []
        if not self.asking and remembered != self.held:
            wrong.append(f"the keys were acknowledged as {self.held}, and are remembered as {remembered}")
        if remembered and "admin" not in remembered.values():
            wrong.append(f"nobody can let anybody in: {remembered}")
        return wrong

    def judge_actors(self, entries: list[tuple[Header, Event]]) -> list[str]:
        """Who did it is who asked."""
        told = {event.call_id: header.actor.id for header, event in entries if isinstance(event, CallAccepted)}
        return [
            f"{call_id} was asked by {kid}, the journal says {told.get(call_id)}"
            for call_id, kid in self.by.items()
            if told.get(call_id) != kid
        ]


def _intent(verb: str, kid: str, role: Role, boot: str, mono_ns: int) -> Intent:
    public = base64.b16encode(kid.ljust(32).encode()).decode().lower()
    match verb:
        case "adopt":
            return Adopt(kid, public, kid, boot, mono_ns)
        case "add":
            return AddKey(kid, public, kid, role)
        case "remove":
            return RemoveKey(kid)
        case _:
            return ChangeRole(kid, role)
