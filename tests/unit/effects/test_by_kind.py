"""What is asked goes to the driver of its kind, and one that fails keeps no other from its own."""

import asyncio

import pytest

from effects.errors import DriverLacks, NotRunning, RuntimeUnavailable
from effects.runs.by_kind import CopierByKind, ExecutorByKind
from effects.runs.copy_protocol import CopyIn, CopyOut, CopyPlace
from effects.runs.exec_protocol import ExecRequest, ExecSession


class Says:
    """An executor and copier that says who it is."""

    def __init__(self, name: str, down: bool = False) -> None:
        self.name = name
        self.down = down
        self.swept = 0

    async def open(self, request: ExecRequest) -> ExecSession:
        raise NotRunning(f"{self.name}: {request.name}")

    async def into(self, place: CopyPlace) -> CopyIn:
        raise NotRunning(f"{self.name}: into {place.path}")

    async def out_of(self, place: CopyPlace) -> CopyOut:
        raise NotRunning(f"{self.name}: out of {place.path}")

    async def sweep(self) -> None:
        self.swept += 1
        if self.down:
            raise RuntimeUnavailable(f"{self.name} does not answer")


def test_a_request_goes_to_the_driver_of_its_kind_and_to_none_where_there_is_none() -> None:
    containers, microvms = Says("containers"), Says("microvms")

    async def inside() -> None:
        executor = ExecutorByKind({"container": containers, "microvm": microvms})
        with pytest.raises(NotRunning, match=r"^containers: web$"):
            await executor.open(ExecRequest("web", 1, 1, ("true",)))
        with pytest.raises(NotRunning, match=r"^microvms: web$"):
            await executor.open(ExecRequest("web", 1, 1, ("true",), kind="microvm"))
        copier = CopierByKind({"container": containers})
        with pytest.raises(NotRunning, match=r"^containers: into /a$"):
            await copier.into(CopyPlace("web", 1, 1, 1, "/a"))
        with pytest.raises(DriverLacks, match="runs a microVM"):
            await copier.out_of(CopyPlace("web", 1, 1, 1, "/a", kind="microvm"))

    asyncio.run(inside())


def test_every_executor_sweeps_also_when_one_cannot() -> None:
    down, up = Says("containers", down=True), Says("microvms")

    async def inside() -> None:
        executor = ExecutorByKind({"container": down, "microvm": up})
        with pytest.raises(RuntimeUnavailable, match="containers does not answer"):
            await executor.sweep()

    asyncio.run(inside())
    assert (down.swept, up.swept) == (1, 1)
