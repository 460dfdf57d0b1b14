"""A machine's drivers by the kind of workload that they are for. Whatever is asked of one says the kind, which a uid
keeps for ever; and one that does not answer is no reason not to hear another.
"""

from collections.abc import Mapping
from typing import TypeVar

from effects.errors import DriverError, DriverLacks
from effects.runs.copy_protocol import Copier, CopyIn, CopyOut, CopyPlace
from effects.runs.exec_protocol import ExecRequest, ExecSession, Executor
from effects.runs.protocol import RunDriver
from journal.specs import Kind
from projections.words import KINDS

Driver = TypeVar("Driver")

RunDrivers = Mapping[Kind, RunDriver]
"""One for each kind that this machine can run, or has run."""


def driver_of(drivers: Mapping[Kind, Driver], kind: Kind) -> Driver:
    """The driver for a kind. Raises DriverLacks where there is none: the state may be another machine's."""
    driver = drivers.get(kind)
    if driver is None:
        raise DriverLacks(f"this machine has nothing that runs a {KINDS[kind]}")
    return driver


class ExecutorByKind:
    """An executor made of one for each kind. See the protocol."""

    def __init__(self, executors: Mapping[Kind, Executor]) -> None:
        self._executors = executors

    async def open(self, request: ExecRequest) -> ExecSession:
        """See the protocol."""
        return await driver_of(self._executors, request.kind).open(request)

    async def sweep(self) -> None:
        """See the protocol. What one of them cannot end keeps no other from ending its own."""
        failed: DriverError | None = None
        for executor in self._executors.values():
            try:
                await executor.sweep()
            except DriverError as error:
                failed = failed or error
        if failed is not None:
            raise failed


class CopierByKind:
    """A copier made of one for each kind. See the protocol."""

    def __init__(self, copiers: Mapping[Kind, Copier]) -> None:
        self._copiers = copiers

    async def into(self, place: CopyPlace) -> CopyIn:
        """See the protocol."""
        return await driver_of(self._copiers, place.kind).into(place)

    async def out_of(self, place: CopyPlace) -> CopyOut:
        """See the protocol."""
        return await driver_of(self._copiers, place.kind).out_of(place)
