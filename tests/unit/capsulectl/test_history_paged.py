"""A journal that was put back is told of before a pager has the terminal, whoever leaves that when; and once."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from capsule.v1 import capsule_pb2, capsule_pb2_grpc, history_pb2, history_pb2_grpc
from capsulectl import heads
from tests.support.served import served
from tests.support.terminal import window

HOME, ROWS = "0123456789abcdef", 5


class PutBack(history_pb2_grpc.HistoryServiceServicer, capsule_pb2_grpc.CapsuleServiceServicer):
    """A capsule whose journal ends at entry 50."""

    def _answers(self, context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata(((heads.HEAD, f"{HOME} 1 50 {'aa' * 32}"),))

    def GetInfo(self, request: Any, context: grpc.ServicerContext) -> capsule_pb2.GetInfoResponse:
        self._answers(context)
        return capsule_pb2.GetInfoResponse()

    def List(self, request: history_pb2.HistoryListRequest, context: Any) -> Iterator[history_pb2.HistoryEntry]:
        self._answers(context)
        if not (request.type or request.types):  # what would explain it
            yield from (history_pb2.HistoryEntry(seq=seq, stream="facts") for seq in range(1, 51))

    def Revisions(self, request: Any, context: Any) -> Iterator[history_pb2.WorkloadRevision]:
        self._answers(context)
        for seq in range(1, 51):
            yield history_pb2.WorkloadRevision(entry=history_pb2.HistoryEntry(seq=seq))


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    address = f"unix:{tmp_path}/s"
    monkeypatch.setenv("CAPSULE_CONFIG_DIR", str(tmp_path / "config"))
    heads.keep(address, heads.Seen(HOME, 90, "bb" * 32))
    with served(PutBack(), address):
        yield address


@pytest.mark.parametrize("then", ["exit", "cat"], ids=["left", "read to the end"])
@pytest.mark.parametrize("verb", [("history",), ("history", "--calls"), ("workload", "history", "web")])
def test_it_is_told_before_the_pager_has_the_terminal(
    verb: tuple[str, ...], then: str, address: str, tmp_path: Path
) -> None:
    pager = tmp_path / "pager"
    pager.write_text(f"#!/bin/sh\necho paged\nread line\n{then}\n")
    pager.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name != "MANPAGER"}
    with window(rows=ROWS) as made:
        command: list[str | Path] = [sys.executable, "-m", "capsulectl", *verb, "--capsule", address]
        made.run(command, kept | {"TERM": "xterm", "PAGER": str(pager)})
        assert made.ends() == 0
    before, _, paged = made.screen.decode().partition("paged")
    assert "WARNING: its journal ends at entry 50, and entry 90 was seen here" in before
    assert "WARNING" not in paged
