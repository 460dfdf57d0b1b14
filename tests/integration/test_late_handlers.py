"""A daemon that ends while a call has something to put away waits for it: its journal is there until then."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capsule.v1 import workload_pb2 as pb
from capsule.v1 import workload_pb2_grpc
from capsuled.copy_streams import CopyStreams
from tests.support.adopted import Adopted
from tests.support.house import standing


def test_a_copy_that_is_still_being_put_away_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, hold, put_away = threading.Event(), threading.Event(), threading.Event()

    async def slow(self: CopyStreams, requests: Any, caller: Any, context: Any) -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            put_away.set()

    def copied() -> Iterator[Any]:
        yield pb.WorkloadCopyToRequest(metadata=pb.WorkloadCopyToMetadata(name="web", dest_path="/tmp"))
        hold.wait(60)

    monkeypatch.setattr(CopyStreams, "into", slow)
    with standing(tmp_path / "state") as house:
        adopted = Adopted(house)
        stub = workload_pb2_grpc.WorkloadServiceStub(adopted.channel())
        copy = stub.CopyTo.future(copied(), metadata=adopted.metadata())
        assert begun.wait(30)
    assert put_away.is_set()
    hold.set()
    assert copy.exception() is not None
    adopted.client.close()
