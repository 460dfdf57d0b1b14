"""A push whose client falls silent in the middle holds a layer, room and a place: not for ever."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from capsule.v1 import image_cache_pb2, image_cache_pb2_grpc, image_pb2, image_pb2_grpc
from capsuled.limits import Limits, Patience
from tests.support.adopted import Adopted
from tests.support.house import standing
from tests.support.images import Sample, twin_archive, twin_image
from tests.support.refusals import reason_of


def test_a_push_that_stalls_lets_a_pull_of_its_layer_through_is_told_so_and_is_gone_on_with(tmp_path: Path) -> None:
    sample, hold = Sample(), threading.Event()
    archive = twin_archive(sample)
    few = Limits(quiet_s=0.5, known=Patience(quiet_s=0.2, chat_s=0.2))

    def pushed() -> Iterator[Any]:
        yield image_pb2.ImagePushRequest(metadata=image_pb2.ImagePushMetadata())
        yield image_pb2.ImagePushRequest(chunk=archive[:100_000])
        hold.wait(60)

    with standing(tmp_path / "state", limits=few) as house:
        house.registries.offer(sample.name, twin_image(sample))
        adopted = Adopted(house)
        push = image_pb2_grpc.ImageServiceStub(adopted.channel()).Push.future(pushed(), metadata=adopted.metadata())
        cache = image_cache_pb2_grpc.ImageCacheServiceStub(adopted.channel())
        digest = twin_image(sample).layers[0].digest
        for _ in range(1_000):
            request = image_cache_pb2.ImageHeldRequest(digests=[digest])
            if began := cache.Held(request, metadata=adopted.metadata()).held_bytes[0]:
                break
        assert 0 < began < 100_000, "the push has the layer's lock"
        pull = cache.Pull(image_cache_pb2.ImagePullRequest(ref=sample.name), metadata=adopted.metadata(), timeout=30)
        told = list(pull)
        assert told[-1].HasField("image")
        assert told[-1].received_bytes <= twin_image(sample).size_bytes - began, "it went on with what the push left"
        with pytest.raises(grpc.RpcError) as caught:
            push.result(timeout=30)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert reason_of(caught.value) == "SENDER_QUIET"
        assert "nothing more came for 0.5 s" in str(caught.value.details())
        hold.set()
        adopted.client.close()
