"""Faults that come from outside the daemon, one after another."""

import asyncio
from typing import TYPE_CHECKING

from journal.specs import Kind
from tests.simulation.asks import FAULTS
from tests.simulation.hands import HANDS

if TYPE_CHECKING:
    from tests.simulation.machine import Simulation

KINDS = (
    "kill",
    "kill",
    "runtime",
    "runtime",
    "shim",
    "guest",
    "guest",
    "power",
    "full",
    "clock",
    "flush",
    "release",
    "release",
    "snapshots",
    "unseen",
    *HANDS,
)


async def trouble(simulation: "Simulation") -> None:
    """As long as there are faults."""
    random = simulation.random
    while simulation.faults:
        await asyncio.sleep(random.expovariate(0.5))
        if not simulation.faults:
            return
        match random.choice(KINDS):
            case other if other in HANDS:
                done = simulation.hands.act(other)
                simulation.oracle.unwatched |= simulation.hands.taken
                simulation.trace.note(f"fault: another hand {done or 'finds nothing to change'}")
            case "kill":
                simulation.kill("killed")
            case "unseen":
                done = simulation.hands.act("other link")
                simulation.trace.note(f"fault: another hand {done or 'finds nothing to change'}, and nobody sees it")
                simulation.kill("killed")
            case "runtime":
                simulation.trace.note("fault: the runtime dies")
                simulation.world.break_streams()
            case "shim":
                alive = _alive(simulation, "container")
                if alive:
                    key = random.choice(alive)
                    simulation.trace.note(f"fault: the shim of {key} dies")
                    simulation.oracle.unwatched.add(key)
                    simulation.world.kill_shim(key)
            case "guest":
                alive = _alive(simulation, "microvm")
                if alive:
                    key, fault = random.choice(alive), random.choice(FAULTS)
                    simulation.trace.note(f"fault: the machine of {key} ends: {fault}")
                    simulation.world.fail(key, fault)
            case "power":
                simulation.trace.note("fault: power is lost")
                simulation.lose_power()
            case "release":
                simulation.change_release()
                if random.random() < 0.5:
                    simulation.lose_power()  # as when the machine boots its other slot
            case "snapshots":
                simulation.trace.note("fault: snapshots are lost or damaged")
                simulation.disk.damage_snapshots(random)
            case "flush":
                simulation.trace.note("fault: another hand flushes the rules")
                simulation.cables.flush()
            case "full":
                simulation.disk.full = not simulation.disk.full
                simulation.trace.note(f"fault: disk full: {simulation.disk.full}")
            case "clock":
                simulation.clock.wall_offset_ns += random.randint(-(10**15), 10**15)
                simulation.trace.note("fault: the wall clock jumps")


def _alive(simulation: "Simulation", kind: Kind) -> list[tuple[str, int, int]]:
    containers = simulation.world.containers.items()
    return [key for key, one in containers if one.status == "running" and one.run.kind == kind]
