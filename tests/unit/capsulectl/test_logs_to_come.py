"""`-n 0`: of a log only what comes, of a wire on which 0 is all of it."""

from collections.abc import Iterator
from typing import Any, cast

import pytest

from capsule.v1 import capsule_pb2
from capsule.v1 import workload_pb2 as pb
from capsulectl.connection import Connection
from capsulectl.logs import ALL, _chunks, without


class Capsule:
    """Has `past`, of which a call shows the last line, and once it is followed what comes."""

    def __init__(self, *past: bytes, comes: tuple[bytes, ...] = ()) -> None:
        self.past, self.comes = past, comes
        self.asked: list[tuple[bool, int]] = []

    def stream(self, method: Any, request: Any) -> Iterator[Any]:
        self.asked.append((request.follow, request.tail_lines))
        shown = (*self.past[-request.tail_lines :], *(self.comes if request.follow else ()))
        return iter([pb.WorkloadLogChunk(data=data) for data in shown])


def read(capsule: Capsule, tail: int, follow: bool, request: Any = pb.WorkloadLogsRequest) -> list[bytes]:
    chunks = _chunks(cast(Connection, capsule), None, request(follow=follow), tail)
    return [chunk.data for chunk in chunks]


@pytest.mark.parametrize("request_", [pb.WorkloadLogsRequest, capsule_pb2.CapsuleLogsRequest])
def test_of_a_followed_log_nothing_of_the_past_is_shown(request_: Any) -> None:
    capsule = Capsule(b"one\n", b"two\n", comes=(b"two\n", b"three\n"))
    assert read(capsule, 0, True, request_) == [b"two\n", b"three\n"]
    assert capsule.asked == [(False, 1), (True, 1)]


def test_what_is_not_followed_is_asked_for_and_shows_nothing() -> None:
    capsule = Capsule(b"one\n")
    assert read(capsule, 0, False) == [] and capsule.asked == [(False, 1)]


@pytest.mark.parametrize(("tail", "asked"), [(ALL, 0), (3, 3)])
def test_every_other_number_is_the_wires_own_and_one_call(tail: int, asked: int) -> None:
    capsule = Capsule(b"one\n", comes=(b"two\n",))
    assert read(capsule, tail, True) == [b"one\n", b"two\n"] and capsule.asked == [(True, asked)]


@pytest.mark.parametrize(
    ("past", "chunks", "left"),
    [
        ([], [b"first\n"], [b"first\n"]),
        ([b"login: "], [b"login: ro", b"ot\n"], [b"ro", b"ot\n"]),
        ([b"a long line\n"], [b"a long ", b"line\nnew\n"], [b"new\n"]),
        ([b"a long ", b"line\n"], [b"a long line\n", b"new\n"], [b"new\n"]),
        ([b"tick 1\n"], [b"tick 2\n", b"tick 1\n"], [b"tick 2\n", b"tick 1\n"]),
    ],
)
def test_only_what_was_there_is_left_out(past: list[bytes], chunks: list[bytes], left: list[bytes]) -> None:
    was, comes = ([pb.WorkloadLogChunk(data=data) for data in some] for some in (past, chunks))
    assert [chunk.data for chunk in without(was, iter(comes))] == left
