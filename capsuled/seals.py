"""Sealed values go when nothing names them any more: no workload's spec, no run of an earlier one, no registry, no
secret.

So go what a deleted workload knew, a value that was replaced, and what a power cut left half made. Only where the
journal is whole and written: a state that is not all there would name too little.
"""

import asyncio
import logging
from collections.abc import Iterator

from capsuled.engine import Engine
from capsuled.sealing import Vault
from journal.specs import ContainerSpec
from projections.state import Machine

log = logging.getLogger(__name__)


def named(machine: Machine) -> frozenset[str]:
    """The names of all sealed values that the state needs."""
    workloads = frozenset(variable.sealed for spec in _specs(machine) for variable in spec.env)
    # A former revision may be wanted back.
    former = (name for one in machine.workloads.values() for revision in one.revisions for name in revision.sealed)
    secrets = frozenset(one.sealed for one in machine.secrets.values())
    return workloads.union(secrets, former, *((one.secret, one.ca) for one in machine.registries.values()))


def _specs(machine: Machine) -> Iterator[ContainerSpec]:
    for workload in machine.workloads.values():
        yield workload.spec
        if workload.run is not None and workload.run.spec is not None:
            yield workload.run.spec


class Seals:
    """Destroys what is unnamed: at the start, and whenever a name has gone."""

    def __init__(self, engine: Engine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault
        self._known: frozenset[str] = frozenset()
        self._changed = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Until cancelled."""
        self._engine.on_change(lambda key, seq: self._changed.set())
        self._vault.released = self._changed.set
        await self.sweep()
        while True:
            await self._changed.wait()
            self._changed.clear()
            # Several changes may lie behind one look: what came and went between two of them was asked for.
            if not (self._known | self._vault.asked_for) <= (now := named(self._engine.machine)):
                await self.sweep()
            else:
                self._known = now

    async def sweep(self) -> None:
        """Destroy what nothing names. What took a name away is durable before its value goes; a value that was given
        meanwhile stays."""
        async with self._one_at_a_time:
            self._known = named(self._engine.machine)
            self._vault.begin_sweep()
            await self._engine.durable()
            try:
                await self._vault.sweep(self._known)
            except OSError as error:
                log.warning("sealed values cannot be looked through: %s", error)
