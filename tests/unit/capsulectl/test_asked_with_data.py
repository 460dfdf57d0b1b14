"""What is shown before a question stands beside the data that was asked for, and not in front of it."""

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from capsule.v1 import rollback_pb2
from capsulectl import restore, rollback
from capsulectl.errors import USAGE, Failure
from capsulectl.inventory import Origins, Remembered
from journal.archive import Title
from tests.support.story import Story

PLANNED = rollback_pb2.RollbackResponse(
    to_seq=5, items=[rollback_pb2.RollbackItem(name="web", outcome="configured")]
)  # fmt: skip


class Machine:
    """A connection to a blank one that plans, and does nothing."""

    target = SimpleNamespace(name="new")

    def __getattr__(self, service: str) -> Any:
        return SimpleNamespace(List=None, Held=None, Rollback=None, WhoAmI=None, KeyList=None)

    def read(self, call: object, request: object) -> Any:
        return SimpleNamespace(workloads=[], volumes=[], secrets=[], held_bytes=[], kid="", keys=[])

    def call(self, call: object, request: Any) -> Any:
        assert request.dry_run, "nobody said yes"
        return PLANNED


def _rollback(output: Any) -> None:
    rollback.rollback("web", to="previous", output=output)


def _restore(output: Any) -> None:
    restore.restore("memory.capsule", output=output)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    past = Remembered(Title("ab" * 16, "0.1.0", 1, 5, "cd" * 32), Story().machine, Origins())
    monkeypatch.setattr(restore, "remembered", lambda file: past)
    for module in (restore, rollback):
        monkeypatch.setattr(module, "Connection", lambda capsule: Machine())
    monkeypatch.setattr("sys.stdin", io.StringIO())  # nobody is there to ask


@pytest.mark.parametrize("ask", [_rollback, _restore])
@pytest.mark.parametrize("output", ["table", "wide", "json", "yaml", "name"])
def test_what_is_shown_before_the_question_is_no_data(
    ask: Callable[[Any], None], output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Failure, match="nobody is there to ask") as refused:
        ask(output)
    said = capsys.readouterr()
    preview, nothing = (said.out, said.err) if output in ("table", "wide") else (said.err, said.out)
    assert refused.value.code == USAGE and nothing == ""
    assert "web       configured" in preview or "Journal:  abab" in preview


@pytest.mark.parametrize("output", ["table", "json"])
def test_what_an_archive_lacks_without_a_word_is_in_the_plan(
    output: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lack = "the body of entry 2 was removed, and no journal.excised entry says so"
    title = Title("ab" * 16, "0.1.0", 1, 5, "cd" * 32)
    monkeypatch.setattr(restore, "remembered", lambda file: Remembered(title, Story().machine, Origins(), (lack,)))
    restore.restore("memory.capsule", dry_run=True, output=output)
    assert lack in capsys.readouterr().out
