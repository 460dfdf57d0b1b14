"""What is read of standard input is all of it, also where another program made it non-blocking and it comes slowly."""

import os
import sys
from collections.abc import Callable

import pytest

from capsule.v1 import workload_pb2 as pb
from capsulectl import copying, files, secret, standard_input
from capsulectl.archive import without
from capsulectl.session import Outgoing
from tests.support.given import given, given_slowly
from tests.support.terminal import window

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


def test_a_line_is_waited_for_to_its_end_and_nothing_that_follows_is_taken() -> None:
    with given_slowly((b"y", b"es\nthe ne", b"xt\nla", b"st")):
        assert [standard_input.line() for _ in range(4)] == ["yes\n", "the next\n", "last", ""]
    with given(b"\xff\n"):
        assert standard_input.line() == "\ufffd\n"


@pytest.mark.parametrize(
    ("asks", "asked", "types"),
    [
        ("from capsulectl.prompt import confirm; print(confirm('sure?', False))", "[y/N] ", "y\n"),
        ("from capsulectl.stepping import _next; print({-1: None}[_next()])", "q(uit): ", "c\n"),
        (
            "from capsulectl.install import _chosen; from capsule.v1 import install_pb2 as pb; print({'/dev/vda': None}[_chosen('', pb.InstallStatusResponse())])",
            "installed on? ",
            "vda\n",
        ),
    ],
    ids=["a question", "a step", "a disk"],
)
def test_an_answer_is_waited_for_in_a_terminal_that_another_program_made_non_blocking(
    asks: str, asked: str, types: str
) -> None:
    with window() as made:
        made.run([sys.executable, "-c", f"import os; os.set_blocking(0, False); {asks}"], os.environ)
        made.sees(asked)
        made.type(types)
        made.sees("None")
        assert made.ends() == 0
