"""A copy that waits for a run to begin: what may become of the workload and of its caller's right meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from capsule.v1 import workload_pb2 as pb
from capsule.v1.workload_pb2_grpc import WorkloadServiceStub
from capsuled.caller import Caller
from capsuled.rpc import Refused
from effects.runs.protocol import RunSpec
from effects.runs.twin import TwinContainer
from journal.entry import Actor
from journal.events import EffectStarted, Event, WorkloadStarted
from projections.refusals import Refusal, refused
from tests.support.adopted import Adopted
from tests.support.house import standing

END = bytes(1_024)
"""Of a tar: an archive of nothing."""


class NoPipe:
    """A call's context, of a client that asks for none."""

    def invocation_metadata(self) -> tuple[()]:
        return ()


class Waiting:
    """A house, and in it an operator's copy into `web`, a harmless workload that is just being started."""

    def __init__(self, adopted: Adopted) -> None:
        self.adopted = adopted
        self.lost: Refusal | None = None
        self.apply()
        self.record(EffectStarted(effect="StartRun", name="web", uid=self.web.uid, run=1, revision=self.web.revision))
        self.started = WorkloadStarted("web", self.web.uid, 1, self.web.revision, 4242)
        self.copy: asyncio.Task[Any] = adopted.house.do(self._begin)

    @property
    def web(self) -> Any:
        return self.adopted.house.house.engine.machine.workloads["web"]

    def apply(self, **fields: Any) -> None:
        """As an admin does."""
        workload = pb.Workload(name="web", container=pb.ContainerSpec(image="demo:1", command=["sh"], **fields))
        stub = WorkloadServiceStub(self.adopted.channel())
        stub.Apply(pb.WorkloadApplyRequest(workload=workload), metadata=self.adopted.metadata())

    def record(self, event: Event) -> None:
        async def record() -> None:
            self.adopted.house.house.engine.record((event,))
            await self.adopted.house.house.engine.durable()

        self.adopted.house.do(record)

    def ends(self) -> Any:
        """What the copy comes to once the run has begun."""
        assert not self.copy.done()
        uid, revision = self.started.uid, self.started.revision
        world, run = self.adopted.house.world, TwinContainer(RunSpec("web", uid, revision, 1, "layer"))
        world.containers["web", uid, 1] = run
        world.start(run)
        self.record(self.started)

        async def ended() -> Any:
            return await self.copy

        return self.adopted.house.do(ended)

    async def _begin(self) -> "asyncio.Task[Any]":
        actor = Actor("operator", "key", "olga", "operator")
        caller = Caller(actor, "WorkloadService.CopyTo", lost=lambda: self.lost)

        async def archive() -> AsyncIterator[pb.WorkloadCopyToRequest]:
            yield pb.WorkloadCopyToRequest(metadata=pb.WorkloadCopyToMetadata(name="web", dest_path="/"))
            yield pb.WorkloadCopyToRequest(chunk=END)

        return asyncio.create_task(self.adopted.house.house.copies.into(archive(), caller, NoPipe()))


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Waiting]:
    with standing(tmp_path / "state") as house:
        yield Waiting(Adopted(house))


def refusal_of(waiting: Waiting) -> Refusal:
    with pytest.raises(Refused) as caught:
        waiting.ends()
    return caught.value.refusal


def test_a_copy_goes_on_once_the_run_that_it_waited_for_has_begun(waiting: Waiting) -> None:
    assert waiting.ends().bytes_received == len(END)


def test_a_workload_that_was_made_root_meanwhile_is_an_admins(waiting: Waiting) -> None:
    waiting.apply(privileged=True)
    refusal = refusal_of(waiting)
    assert (refusal.code, refusal.reason) == ("PERMISSION_DENIED", "ROLE_LACKS")


def test_a_workload_that_was_changed_meanwhile_is_not_what_was_asked_for(waiting: Waiting) -> None:
    waiting.apply(hostname="other")
    refusal = refusal_of(waiting)
    assert (refusal.code, refusal.reason) == ("ABORTED", "CHANGED") and "copy again" in refusal.message


def test_a_caller_who_lost_his_right_meanwhile_has_none(waiting: Waiting) -> None:
    waiting.lost = refused("UNAUTHENTICATED", "KEY_REMOVED", "the key was removed")
    assert refusal_of(waiting) == waiting.lost
