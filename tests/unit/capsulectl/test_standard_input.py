"""What is read of standard input is all of it, also where another program made it non-blocking and it comes slowly."""

from collections.abc import Callable

import pytest

from capsule.v1 import workload_pb2 as pb
from capsulectl import copying, files, secret
from capsulectl.archive import without
from capsulectl.session import Outgoing
from tests.support.given import given_slowly

PIECES = (b"name: a\nkind: Volume\nsize: 1G\n", b"---\n" * 2_000, b"name: b\nkind: Volume\nsize: 1G\n")


def _exec() -> bytes:
    outgoing = Outgoing(pb.WorkloadExecConfig(name="db"))
    outgoing.read_input(hung_up=False)
    sent = bytearray()
    for message in outgoing:
        sent += message.stdin
        if message.end_of_input:
            break
    return bytes(sent)


def _import() -> bytes:
    source, size = files.to_send("-")
    assert size == 0
    return b"".join(iter(lambda: source.read1(1_000), b""))


@pytest.mark.parametrize(
    "taken",
    [
        _exec,
        _import,
        lambda: files.input_text().encode(),
        lambda: secret._read("password", "-"),
        lambda: b"".join(copying._stdin()),
    ],
    ids=["exec", "import and push", "apply, key and password", "secret", "cp"],
)
def test_what_has_not_come_yet_is_no_end(taken: Callable[[], bytes]) -> None:
    with given_slowly(PIECES):
        assert taken() == b"".join(PIECES)


def test_what_has_come_is_sent_and_no_chunk_is_waited_for() -> None:
    pieces = (b"an", b"archive", b"comes")
    with given_slowly(pieces):
        source, _ = files.to_send("-")
        assert tuple(without(source, ())) == pieces
