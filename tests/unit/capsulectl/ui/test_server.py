"""The page's server, asked over HTTP: a closed list of reads, and nothing that acts."""

import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capsulectl.errors import NO_TIMES, Failure
from capsulectl.ui.pages import PAGES
from capsulectl.ui.reads import METHODS, Reads
from capsulectl.ui.server import ANSWERS, HEADERS, STREAMS, Server
from capsuled.roles import rule_of
from tests.unit.capsulectl.ui.told import HOSTILE, SYNCED, Machine, Streamed, entry, watched

READS = {
    "read/machine": "at=1",
    "read/entries": "upto=5",
    "read/entry": "seq=1",
    "read/changes": "before=0&after=1",
    "read/why": "name=web&at=1",
}


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPSULE_CONFIG_DIR", str(tmp_path))


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def server(machine: Machine) -> Iterator[Server]:
    made = Server(Reads(machine))  # type: ignore[arg-type]
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


class Asked:
    """One request and its answer."""

    def __init__(self, server: Server, path: str, method: str = "GET", host: str = "", **headers: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        word = server.address.split("/")[3]
        self.connection.putrequest(method, f"/{word}/{path}", skip_host=True)
        self.connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
        for name, value in headers.items():
            self.connection.putheader(name.replace("_", "-"), value)
        self.connection.endheaders()
        self.response = self.connection.getresponse()
        self.status = self.response.status

    def read(self) -> bytes:
        try:
            return self.response.read()
        finally:
            self.connection.close()

    def news(self, count: int) -> list[tuple[str, Any]]:
        """So many of a stream's news."""
        found: list[tuple[str, Any]] = []
        kind = ""
        while len(found) < count:
            line = self.response.readline().decode()
            assert line, "the stream has ended"
            if line.startswith("event: "):
                kind = line[7:].strip()
            elif line.startswith("data: "):
                found.append((kind, json.loads(line[6:])))
        return found


def test_what_it_can_ask_for_is_a_readers_and_acts_on_nothing() -> None:
    for _, service, method in METHODS.values():
        rule = rule_of(f"{service}/{method}")
        assert (rule.role, rule.acts) == ("reader", False), method


def test_each_read_is_answered_and_nothing_but_reads_is_asked_of_the_machine(server: Server, machine: Machine) -> None:
    assert set(READS) == set(ANSWERS), "a new read belongs into this test"
    known = {f"{service}/{method}" for _, service, method in METHODS.values()}
    for path, query in READS.items():
        machine.streams = [Streamed(entry(1), None)]
        asked = Asked(server, f"{path}?{query}")
        assert asked.status == 200 and json.loads(asked.read()), path
    assert machine.asked and {name for name, _ in machine.asked} <= known


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "CONNECT"])
def test_only_get_is_answered(server: Server, machine: Machine, method: str) -> None:
    for path in ("", *ANSWERS, *STREAMS):
        asked = Asked(server, path, method)
        assert asked.status == 405 and asked.response.getheader("Allow") == "GET"
        asked.read()
    assert machine.asked == []


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("read/apply", 404, "nothing of this name"),
        ("page/../command.py", 404, "nothing of this name"),
        ("..%2fcommand.py", 404, "nothing of this name"),
        ("read/machine", 400, "at is missing"),
        ("read/machine?at=soon", 400, "is no moment"),
        ("read/entry?seq=-1", 400, "seq is no number"),
        ("read/entry?seq=99999999999999999999", 400, "seq is no number"),
        ("follow/log?until=1", 400, "name is missing"),
        ("read/machine?" + "&".join(f"at={number}" for number in range(9)), 400, "at most 8"),
    ],
)
def test_what_is_no_read_is_refused_in_words(server: Server, path: str, status: int, says: str) -> None:
    asked = Asked(server, path)
    assert asked.status == status and says in json.loads(asked.read())["why"]


def test_an_address_that_is_none_is_refused_and_no_fault_of_ours(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as line:
        host = f"127.0.0.1:{server.server_port}"
        line.sendall(f"GET http://[x/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert line.recv(64).startswith(b"HTTP/1.1 404 ")
    assert "fault" not in capsys.readouterr().err


def test_another_page_or_name_reads_nothing(server: Server, machine: Machine) -> None:
    for given in (
        {"host": "attacker.example"},
        {"Origin": "http://attacker.example"},
        {"Sec_Fetch_Site": "cross-site"},
    ):
        for path in ("read/machine?at=1", "follow/live"):
            asked = Asked(server, path, **given)
            assert asked.status in (403, 421) and b"home" not in asked.read()
    assert machine.asked == []


def test_each_answer_has_the_policy_and_is_kept_nowhere(server: Server) -> None:
    for path in (*PAGES, "read/machine?at=1", "nowhere"):
        asked = Asked(server, path)
        asked.read()
        assert {name: asked.response.getheader(name) for name in HEADERS} == HEADERS
        assert asked.response.getheader("Server") == "capsulectl" and not asked.response.getheader("Set-Cookie")


def test_the_machines_words_are_told_without_what_could_hide_or_turn(server: Server) -> None:
    told = json.loads(Asked(server, "read/why?name=web").read())["conclusion"]
    assert told.startswith("<img src=x onerror=alert(1)>") and told.isprintable() and "202e" in told
    assert HOSTILE not in told


def test_a_machine_that_does_not_answer_is_told_as_it_says(server: Server, machine: Machine) -> None:
    machine.answers["HistoryService/AsOf"] = Failure("the capsule does not answer at home")
    asked = Asked(server, "read/machine?at=1")
    assert asked.status == 502 and json.loads(asked.read()) == {"why": "the capsule does not answer at home"}


def test_everything_is_told_once_then_what_is_new(server: Server, machine: Machine) -> None:
    entries, workloads = Streamed(entry(1), entry(2)), Streamed(watched("web"), SYNCED)
    machine.streams = [entries, workloads]
    asked = Asked(server, "follow/live")
    (world, first), (kind, there), (happened, before) = asked.news(3)
    assert (world, kind, happened) == ("world", "workloads", "entries")
    assert first["info"]["hostname"] == "home" and [one["name"] for one in first["volumes"]] == ["data"]
    assert there["all"] and there["now"][0]["phase"] == "running" and there["now"][0]["message"].isprintable()
    assert before["all"] and [one["seq"] for one in before["entries"]] == [1, 2]
    workloads.queue.put(watched("web", "FAILED"))
    assert asked.news(1)[0][1]["now"][0]["phase"] == "failed"
    entries.queue.put(entry(3, "volume.created"))
    assert [kind for kind, _ in asked.news(2)] == ["entries", "world"], "what no stream tells is read when one says so"
    asked.connection.close()


def test_what_came_before_the_newest_entries_follows_them(server: Server, machine: Machine) -> None:
    machine.answers["CapsuleService/GetInfo"].journal_seq = 9
    machine.streams = [Streamed(entry(8), entry(9)), Streamed(SYNCED), Streamed(entry(6), entry(7), None)]
    asked = Asked(server, "follow/live")
    _, _, (_, newest), (kind, before) = asked.news(4)
    assert [one["seq"] for one in newest["entries"]] == [8, 9]
    assert kind == "before" and [one["seq"] for one in before] == [6, 7] and machine.asked[-1][1].upto == 7
    asked.connection.close()


def test_a_machine_that_goes_is_tried_again_and_all_is_told_anew(
    server: Server, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capsulectl.ui.live.RETRY_S", (0.01,))
    entries, workloads = Streamed(entry(1), entry(2)), Streamed(SYNCED)
    machine.streams = [entries, workloads, Streamed(entry(1), entry(2)), Streamed(watched("web"), SYNCED)]
    asked = Asked(server, "follow/live")
    asked.news(3)
    entries.queue.put(Failure("the capsule does not answer"))
    (gone, why), *again = asked.news(4)
    assert gone == "gone" and why["why"] == "the capsule does not answer" and workloads.cancelled
    assert [kind for kind, _ in again] == ["world", "workloads", "entries"] and again[1][1]["all"]
    asked.connection.close()


def test_a_log_is_told_line_by_line_without_colours_and_ends(server: Server, machine: Machine) -> None:
    from capsule.v1 import workload_pb2

    data = f"\x1b[31mred\x1b[0m\r\n{HOSTILE}\n".encode()
    machine.streams = [Streamed(workload_pb2.WorkloadLogChunk(data=data, at_unix_ns=1_000_000, stderr=True), None)]
    (kind, told), (end, _) = Asked(server, "follow/log?name=web&run=3&until=9").news(2)
    assert (kind, end) == ("lines", "end")
    assert told["lines"][0] == {"at": 1, "err": True, "gap": False, "text": "red"}
    assert told["lines"][1]["text"].startswith("<img") and told["lines"][1]["text"].isprintable()
    name, request = machine.asked[-1]
    assert name == "WorkloadService/Logs" and (request.run, request.follow) == (3, False)


def test_a_console_has_no_times_and_is_told_without_by_whole_lines(machine: Machine) -> None:
    from capsule.v1 import workload_pb2

    parts = [workload_pb2.WorkloadLogChunk(data=data, run=1) for data in (b"Lin", b"ux\nlogin: ")]
    machine.streams = [Streamed(Failure("no times", reason=NO_TIMES)), Streamed(*parts, None)]
    lines = list(Reads(machine).logs("own", 5))  # type: ignore[arg-type]
    assert [(one.at_unix_ns, one.data) for one in lines] == [(0, b"Linux\n"), (0, b"login: \n")]
    (_, first), (_, again) = machine.asked
    assert first.timestamps and not again.timestamps and again.follow and again.tail_lines == first.tail_lines == 5


def test_any_other_refusal_of_a_log_is_told_and_not_asked_again(server: Server, machine: Machine) -> None:
    machine.streams = [Streamed(Failure("no workload web", reason="NO_SUCH_WORKLOAD"))]
    assert Asked(server, "follow/log?name=web").news(1) == [("end", {"why": "no workload web"})]
    assert len(machine.asked) == 1


def test_a_log_that_is_cancelled_before_it_is_asked_for_again_stays_cancelled(machine: Machine) -> None:
    machine.streams = [Streamed(Failure("no times", reason=NO_TIMES)), Streamed()]
    log = Reads(machine).logs("own", 5)  # type: ignore[arg-type]
    log.cancel()
    assert list(log) == [] and len(machine.asked) == 1


def test_a_console_that_is_cancelled_ends(machine: Machine) -> None:
    from capsule.v1 import workload_pb2

    console = Streamed(workload_pb2.WorkloadLogChunk(data=b"Linux\n"))
    machine.streams = [Streamed(Failure("no times", reason=NO_TIMES)), console]
    log = Reads(machine).logs("own", 5)  # type: ignore[arg-type]
    lines = iter(log)
    assert next(lines).data == b"Linux\n"
    log.cancel()
    assert list(lines) == [] and console.cancelled


def test_an_entry_is_bad_by_the_rule_of_the_history(server: Server, machine: Machine) -> None:
    body = {"name": "web", "uid": 7, "run": 1, "exit_code": 3, "exited_at": 1, "unasked": True}
    ended = entry(1, "workload.exited", body_json=json.dumps(body))
    good = entry(2, "workload.exited", body_json=json.dumps(body | {"exit_code": 0}))
    newer = entry(3, "workload.exited", version=99, body_json=json.dumps(body))
    machine.streams = [Streamed(ended, good, newer, entry(4, "call.refused", excised=True), None)]
    told = json.loads(Asked(server, "read/entries?upto=4").read())
    assert [one["bad"] for one in told] == [True, False, False, False]


def test_the_word_is_long_and_another_each_time(machine: Machine) -> None:
    words = set()
    for _ in range(2):
        made = Server(Reads(machine))  # type: ignore[arg-type]
        made.server_close()
        words.add(re.fullmatch(r"http://127\.0\.0\.1:\d+/([\w-]{32,})/", made.address)[1])  # type: ignore[index]
    assert len(words) == 2
