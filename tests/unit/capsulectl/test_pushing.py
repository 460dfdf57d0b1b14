"""A push of an image, as the capsule sees it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capsule.v1 import image_pb2 as pb
from capsule.v1.image_pb2_grpc import ImageServiceServicer
from capsulectl.image import push
from capsulectl.options import Common
from tests.support.served import served

YEAR_S = 365 * 86_400.0


class Capsule(ImageServiceServicer):
    """Takes what comes; `left_s` is how long it had for that."""

    def __init__(self) -> None:
        self.left_s: float | None = 0.0

    def Push(self, requests: Iterator[pb.ImagePushRequest], context: Any) -> pb.ImagePushResponse:
        self.left_s = context.time_remaining()
        received = sum(len(request.chunk) for request in requests)
        return pb.ImagePushResponse(image_refs=["docker.io/library/web:1"], bytes_received=received)


@pytest.fixture
def capsule(tmp_path: Path) -> Iterator[tuple[Capsule, Common]]:
    one, address = Capsule(), f"unix:{tmp_path}/capsule.sock"
    with served(one, address):
        yield one, Common(capsule=address)


def test_a_push_lasts_as_long_as_it_lasts(
    capsule: tuple[Capsule, Common], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some gigabytes over a line of a few megabits are more than any deadline that would be of use otherwise."""
    one, common = capsule
    archive = tmp_path / "web.tar"
    archive.write_bytes(b"an archive" * 1000)
    push(str(archive), common=common)
    assert capsys.readouterr().out == "web:1\n"
    assert one.left_s is None or one.left_s > YEAR_S
