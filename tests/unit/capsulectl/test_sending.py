"""A file that cannot be read to its end while it is sent, as on a disk that fails."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from capsule.v1 import capsule_pb2 as pb
from capsule.v1 import capsule_pb2_grpc, image_pb2_grpc, move_pb2_grpc, update_pb2, update_pb2_grpc, volume_pb2_grpc
from capsulectl import restore
from capsulectl.connection import Connection
from capsulectl.errors import Failure
from capsulectl.image import push
from capsulectl.options import Common
from capsulectl.update_push import push as push_update
from capsulectl.volume_files import import_
from tests.support.served import served

FAILING = "/proc/self/mem"
"""A file whose beginning is an input/output error."""


class Machine(
    volume_pb2_grpc.VolumeDataServiceServicer,
    image_pb2_grpc.ImageServiceServicer,
    capsule_pb2_grpc.CapsuleServiceServicer,
    update_pb2_grpc.UpdateServiceServicer,
    move_pb2_grpc.MoveServiceServicer,
):
    """Takes whatever comes, to its end."""

    def _takes(self, requests: Iterator[Any], context: Any) -> Any:
        for _ in requests:
            pass
        context.abort(grpc.StatusCode.ABORTED, "it has ended")

    Import = Push = UpdateOS = Restore = _takes

    def GetInfo(self, request: Any, context: Any) -> Any:
        return pb.GetInfoResponse()

    def Status(self, request: Any, context: Any) -> Any:
        return update_pb2.UpdateStatus()


@pytest.fixture
def common(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Common]:
    monkeypatch.setenv("CAPSULE_CONFIG_DIR", str(tmp_path))
    address = f"unix:{tmp_path}/capsule.sock"
    with served(Machine(), address):
        yield Common(capsule=address)


@pytest.mark.parametrize(
    ("command", "then"),
    [
        (lambda common: import_("data", FAILING, common=common), "nothing was changed"),
        (lambda common: push(FAILING, common=common), "nothing was changed"),
        (lambda common: push_update(Path(FAILING), yes=True, common=common), "what runs goes on, and the other slot"),
        (lambda common: restore._send(Connection(common.capsule), FAILING, None, common), "nothing was changed"),
    ],
    ids=["volume import", "image push", "update push", "restore"],
)
def test_what_cannot_be_read_is_named_and_how_things_stand(
    command: Callable[[Common], object], then: str, common: Common
) -> None:
    with pytest.raises(Failure) as told:
        command(common)
    assert told.value.message.startswith(f"{FAILING} cannot be read: Input/output error; {then}")
