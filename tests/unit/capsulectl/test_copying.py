"""How a copy into a workload goes on without a pipe, and how either ends by a signal."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capsule.v1 import workload_pb2 as pb
from capsulectl import copying
from capsulectl.copying import Inside, Progress, copy_into, copy_out
from capsulectl.errors import Ended
from capsulectl.heads import Heads
from tests.support.trees import member, tar

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name)
FILE = tar(member("x", content=b"1" * 10_000))


def said(offer: str) -> Iterator[pb.WorkloadCopyToRequest]:
    outgoing = copying._Outgoing(Inside("web", "/x"), iter([b"ab", b"c"]), Progress("here"))
    outgoing.offer.set_result(offer)
    return map(pb.WorkloadCopyToRequest.FromString, outgoing.messages())


@pytest.mark.parametrize("offer", ["", "/none/such"])
def test_without_a_pipe_the_archive_goes_by_messages(offer: str) -> None:
    first, *rest = said(offer)
    assert first.metadata.name == "web" and [one.chunk for one in rest] == [b"ab", b"c"]


class Capsule:
    """A connection on which a copy gets as far as a signal to us: `pieces` come before it, or none is taken."""

    local = False
    address = "here"
    heads = Heads("nowhere", lambda seen, told: "")

    def __init__(self, number: int, pieces: tuple[bytes, ...] = ()) -> None:
        self.cancelled = False
        self._number = number
        self._pieces = pieces
        self.copy_into = self

    def future(self, messages: Iterator[bytes], metadata: Any) -> "Capsule":
        next(messages)
        return self

    def copy_out(self, request: Any, metadata: Any) -> "Capsule":
        return self

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        self.result()

    def result(self) -> None:
        os.kill(os.getpid(), self._number)

    def cancel(self) -> None:
        self.cancelled = True


def ended(number: int) -> Any:
    return pytest.raises(KeyboardInterrupt if number == signal.SIGINT else Ended)


@SIGNALS
def test_a_signal_leaves_nothing_here_of_what_had_come(
    tmp_path: Path, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whole or not: the end of the call says that it is good, and that was not heard."""
    for come in (FILE[:5_000], FILE):
        capsule: Any = Capsule(number, (come,))
        with ended(number) as raised:
            copy_out(capsule, Inside("web", "/x"), f"{tmp_path}/", quiet=False)
        assert number == signal.SIGINT or raised.value.code == 128 + number
        assert capsule.cancelled and os.listdir(tmp_path) == []
        assert capsys.readouterr().err == "interrupted: nothing is left of it here\n"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@SIGNALS
def test_a_signal_calls_off_what_goes_in(tmp_path: Path, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").write_text("1")
    capsule: Any = Capsule(number)
    with ended(number):
        copy_into(capsule, str(tmp_path / "x"), Inside("web", "/x"), None, quiet=False)
    assert capsule.cancelled and capsys.readouterr().err == "interrupted: nothing is changed in web\n"
