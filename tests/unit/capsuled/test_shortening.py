"""Whatever the journal holds, a client's message has room for what is told of it, and what was cut says so."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capsule.v1 import history_pb2 as pb
from capsule.v1.machine_pb2 import FieldChange
from capsule.v1.workload_pb2 import Workload, WorkloadStatus
from capsuled.history import BODY_BYTES, SUMMARY_CHARS
from capsuled.rpc import Refused
from capsuled.services.history import HistoryService
from capsuled.shortening import CHANGES_BYTES, PATH_CHARS, cut_changes, cut_json, cut_statuses
from capsuled.wire_past import changes, machine_message
from journal.entry import LOCAL
from journal.environment import Environment
from journal.events import AppliedWorkload, EffectDone, EffectFailed, StreamOpened, WorkloadApplied
from journal.reader import Reader
from projections.admission import Admitted
from projections.state import Machine
from tests.support.entries import Ledger, indexed
from tests.support.story import Story, declared, spec
from tests.unit.capsuled.test_history_reading import Engine, listed

MESSAGE_BYTES = 4 << 20
"""What a client takes that was told of nothing else."""
LONG = "\x01" * (120 << 10)
FIRST = AppliedWorkload("web", "container", spec(*8 * [LONG]), created=True)
THEN = AppliedWorkload("web", "container", spec(*8 * ["x" + LONG]), changed=True)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal whose every entry is too long: two declarations, an exec, and much that came of the first."""
    directory = tmp_path_factory.mktemp("long") / "journal"
    ledger = Ledger()
    ledger.add(WorkloadApplied((FIRST,)), actor=LOCAL)
    ledger.add(WorkloadApplied((THEN,)), cause=1, call=1)
    ledger.add(StreamOpened("WorkloadService.Exec", object="web", argv=(LONG,) * 8), cause=1, call=1)
    for _ in range(60):
        ledger.add(WorkloadApplied((THEN,)), cause=1, call=1)
    ledger.add(EffectDone("StartRun", "web", 1), cause=1, call=1)
    with indexed(directory, ledger):
        return directory


@pytest.fixture
def service(long: Path) -> Iterator[HistoryService]:
    environment = Environment(long, readonly=True)
    engine = Engine()
    engine.machine = Machine(seq=64)
    yield HistoryService(environment, Reader(environment), engine)  # type: ignore[arg-type]
    environment.close()


def check_true(entry: pb.HistoryEntry) -> None:
    """Of a declaration: all but its arguments is as it was, and of these the beginning."""
    assert len(entry.body_json.encode()) <= BODY_BYTES
    (item,) = json.loads(entry.body_json)["items"]
    assert (item["name"], item["container"]["image"]["ref"]) == ("web", FIRST.container.image.ref)
    args = item["container"]["args"]
    assert len(args) == 8
    for one in args:
        kept, _, left = one.partition("… (")
        assert kept in LONG or kept in "x" + LONG
        assert len(kept) + int(left.partition(" more characters)")[0]) in (len(LONG), len(LONG) + 1)


def test_a_call_below_a_mebibyte_makes_no_entry_that_cannot_be_read(service: HistoryService) -> None:
    found = asyncio.run(listed(service.List(pb.HistoryListRequest(limit=64), None)))
    assert len(found) == 64 and all(one.ByteSize() < BODY_BYTES + (64 << 10) for one in found)
    check_true(found[0])
    assert json.loads(found[2].body_json)["object"] == "web"
    assert len(found[2].summary) < SUMMARY_CHARS + 100 and found[2].summary.endswith("more characters)")


def test_a_tree_has_room_in_an_answer(service: HistoryService) -> None:
    answer = asyncio.run(service.Show(pb.HistoryShowRequest(seq=1), None))
    assert answer.ByteSize() < MESSAGE_BYTES
    check_true(answer.entry)
    assert [node.entry.seq for node in answer.tree] == list(range(1, 65))
    assert all(json.loads(node.entry.body_json) for node in answer.tree)


def test_a_tree_that_is_too_long_even_so_ends_earlier(service: HistoryService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capsuled.history.TREE_BYTES", 8_000)
    answer = asyncio.run(service.Show(pb.HistoryShowRequest(seq=1), None))
    seqs = [node.entry.seq for node in answer.tree]
    assert 1 <= len(seqs) < 64 and seqs == list(range(1, len(seqs) + 1))


def test_a_revision_has_room_in_an_answer(service: HistoryService) -> None:
    first, then, *_ = asyncio.run(listed(service.Revisions(pb.RevisionsRequest(name="web"), None)))
    assert max(first.ByteSize(), then.ByteSize()) < MESSAGE_BYTES
    ((path, old, new),) = [(one.path, json.loads(one.old), json.loads(one.new)) for one in then.changes]
    assert path == "container.args" and len(old) == len(new) == 8
    assert old[0].startswith("\x01") and new[0].startswith("x\x01")
    assert {one.path: one.new for one in first.changes}["container.image"] == f'"{FIRST.container.image.ref}"'


def test_what_changed_between_two_moments_has_room_in_an_answer() -> None:
    story = Story()
    story.tell(WorkloadApplied((FIRST,)))
    before = story.machine.fork()
    story.tell(WorkloadApplied((THEN,)))
    found = changes(before, story.machine)
    assert pb.CompareResponse(changes=found).ByteSize() < MESSAGE_BYTES
    assert "container.args" in {one.path for one in found}


@pytest.mark.parametrize(
    "value",
    [
        {"name": "web", "list": list(range(200_000))},
        {"name": "web", "deep": [[["x" * 100] * 100] * 100]},
        {"name": "web", **{f"key{number}": number for number in range(100_000)}},
        {"name": "web", "n" * (1 << 20): "x"},
        {"name": "web", "many": [{f"k{number}": "y" * 80 for number in range(40)}] * 400},
        ["x" * 100] * 100_000,
        "ü" * (1 << 20),
    ],
    ids=type,
)
def test_whatever_is_cut_is_what_it_was_and_says_what_it_lacks(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)
    for most_bytes in (1 << 16, 1 << 10, 200):
        short = cut_json(text, most_bytes)
        assert len(short.encode()) <= most_bytes and "…" in short
        assert type(json.loads(short)) is type(value)
    assert isinstance(value, str | list) or json.loads(cut_json(text, 1 << 16))["name"] == "web"


def test_what_is_not_too_long_stays_to_the_letter() -> None:
    text = '{"a": "ü", "b":[1,2]}'
    assert cut_json(text, len(text.encode())) == text != cut_json(text, len(text.encode()) - 1)


def test_of_too_many_changes_it_is_told_how_many_are_left_out() -> None:
    many = [FieldChange(name="web", op="add", path=f"labels.{number}", new='"x"') for number in range(100_000)]
    found = cut_changes(many)
    assert sum(one.ByteSize() for one in found) < CHANGES_BYTES + 1_000
    assert found[:-1] == many[: len(found) - 1]
    assert found[-1].new == f'"… ({len(many) - len(found) + 1} more)"'
    assert cut_changes(many[:10]) == many[:10]
    (path,) = {one.path for one in cut_changes([FieldChange(path="p" * (1 << 20), new='"x"')] * 4)}
    assert len(path) < PATH_CHARS + 100


@pytest.mark.parametrize(("count", "chars"), [(300, 20_000), (3_000, 500)])
def test_a_list_has_room_for_everybody_whatever_became_of_them(count: int, chars: int) -> None:
    story, text = Story(), "ä" * chars
    names = [f"w{number:04}" for number in range(count)]
    for start in range(0, len(names), 500):
        assert isinstance(story.apply(*map(declared, names[start : start + 500])), Admitted)
    failed = [EffectFailed("StartRun", name, story[name].uid, "INTERNAL", text) for name in names]
    story.tell(*failed)
    answer = machine_message(story.machine, ["workloads"])
    assert answer.ByteSize() <= MESSAGE_BYTES and len(answer.workloads) == count
    for one in answer.workloads:
        assert one.container.image and one.status.message.startswith("ä" * 64) and one.status.conditions


def test_where_there_is_room_nothing_of_a_status_is_cut() -> None:
    told = pb.AsOfResponse(workloads=[Workload(status=WorkloadStatus(message="x" * 20_000))])
    cut_statuses(told, told.workloads)
    assert told.workloads[0].status.message == "x" * 20_000


def test_a_machine_that_has_no_room_in_one_answer_is_asked_for_in_parts(
    service: HistoryService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capsuled.services.history.MESSAGE_BYTES", 8_000)
    with pytest.raises(Refused) as refused:
        asyncio.run(service.AsOf(pb.AsOfRequest(), None))
    assert (refused.value.reason, refused.value.refusal.fields) == ("TOO_MUCH_TO_TELL", ("only",))
    assert asyncio.run(service.AsOf(pb.AsOfRequest(only=["images"]), None)).seq == 64
