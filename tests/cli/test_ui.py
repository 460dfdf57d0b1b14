"""`capsulectl ui` in a real browser: the machine now and then, by keyboard and by ear, and nothing of it changed."""

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from capsule.v1 import history_pb2, machine_pb2
from capsulectl.errors import Failure
from tests.support.browser import Browser
from tests.support.daemon import CTL, SERVE, Daemon, manifest
from tests.support.page import SHOWN, go, opened
from tests.unit.capsulectl.ui.told import HOSTILE, SYNCED, Machine, Streamed, entry, watched

LINE = "<b onclick=alert(1)>bold</b>"


@contextmanager
def served(capsule: Daemon) -> Iterator["tuple[str, subprocess.Popen[str]]"]:
    """The command itself, and the address that it prints."""
    process = subprocess.Popen(
        [CTL, "ui"], env=capsule.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.communicate()


def shown(page: Browser, name: str) -> str:
    """A script: how a workload is shown, once it is."""
    found = f"[...document.querySelectorAll('#workloads > li')].find(one => one.querySelector('.name').textContent === '{name}')"
    return f"{found}?.querySelector('.phase').textContent"


@pytest.mark.real
@SHOWN
def test_the_machine_now_and_then_and_nothing_changed(page: Browser, capsule: Daemon) -> None:
    before = newest(capsule)
    capsule.apply(manifest("seen", f"echo '{LINE}'; {SERVE}"), "--wait")
    last = newest(capsule)
    with served(capsule) as (address, process):
        page.open(address)
        page.until(f"{shown(page, 'seen')} === 'Running'")

        go(page, last)
        page.run("document.getElementById('slider').focus()")
        page.press("ArrowLeft", 37)
        page.until(f"document.getElementById('moment').dataset.shown === 'entry {last - 1}'")
        assert page.run("document.activeElement.getAttribute('aria-valuetext')").startswith(f"entry {last - 1}, ")
        go(page, 1)
        assert "capsuled" in page.text("#moment .says") and page.text("#workloads") == ""
        assert page.text("#no-workloads") == "There was none at this moment."
        page.open("about:blank")
        page.open(f"{address}#{last - 1}")
        page.until(f"document.getElementById('moment').dataset.shown === 'entry {last - 1}'")
        go(page, before)
        page.run("document.querySelector('#moment > div:last-child summary').click()")
        assert "seen" in page.text("#moment > div:last-child")
        page.run("document.getElementById('go-to').value = 'soon'; document.getElementById('go').requestSubmit()")
        page.until("document.getElementById('trouble').textContent.includes('is no moment')")
        page.click("#now")
        page.until(f"{shown(page, 'seen')} === 'Running'")

        page.run("[...document.querySelectorAll('.name')].find(one => one.textContent === 'seen').focus()")
        page.press("Enter", 13, "\r")
        why = page.until("document.querySelector('.why .conclusion')?.textContent")
        assert why == capsule.data("why", "seen")["conclusion"]
        page.run(
            "document.getElementById('log-of').value = 'seen'; "
            "document.getElementById('log-of').dispatchEvent(new Event('change'))"
        )
        page.until("document.getElementById('log').textContent.includes('ready')")
        assert LINE in page.text("#log") and page.run("document.querySelector('#log b') === null")
        facts = [one for one in capsule.history("--actor", "local", "-n", "20") if int(one["seq"]) > last]
        assert facts == [], "to look changes nothing"

        capsule.good("stop", "seen", "--wait")
        page.until(f"{shown(page, 'seen')} === 'Stopped'")
        capsule.good("delete", "seen", "--yes")
        page.until(f"{shown(page, 'seen')} === undefined")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
        page.until("document.getElementById('link-text').textContent === 'ended'")


def newest(capsule: Daemon) -> int:
    return int(json.loads(capsule.good("journal", "stats", "-o", "json"))["lastSeq"])


@pytest.fixture
def told(page: Browser, machine: Machine) -> Iterator[Browser]:
    """A machine whose every word is hostile."""
    info = machine.answers["CapsuleService/GetInfo"]
    info.hostname, info.active_slot, info.pending_slot, info.capsule_version = HOSTILE, "slot_a", "slot_b", "0.2"
    info.local_time_unix, info.pending_deadline_unix = 1_000, 1_240
    names = Streamed(watched(HOSTILE), watched("web", "FAILED"), SYNCED)
    machine.streams = [Streamed(entry(1), entry(2, objects=[HOSTILE], actor=HOSTILE)), names]
    with opened(page, machine):
        yield page


@SHOWN
def test_a_machine_that_goes_away_is_missed_and_found_again(
    page: Browser, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capsulectl.ui.live.RETRY_S", (0.2,))
    entries = Streamed(entry(1), entry(2))
    machine.streams = [entries, Streamed(watched("web"), SYNCED)]
    with opened(page, machine):
        info = machine.answers.pop("CapsuleService/GetInfo")
        machine.answers["CapsuleService/GetInfo"] = Failure("the capsule does not answer at home")
        entries.queue.put(Failure("the capsule does not answer at home"))
        page.until("document.getElementById('link').dataset.state === 'gone'")
        assert "The machine is not reached: the capsule does not answer at home" in page.text("#trouble")
        assert page.text("#workloads .name") == "web", "what was seen last is shown"
        machine.streams = [Streamed(entry(1), entry(2)), Streamed(watched("later"), SYNCED)]
        machine.answers["CapsuleService/GetInfo"] = info
        page.until("document.getElementById('link').dataset.state === 'live'")
        page.until("document.querySelector('#workloads .name').textContent === 'later'")
        assert page.text("#trouble") == "" and page.text("#say") == "The machine is back"


@SHOWN
def test_what_the_machine_says_stays_text(told: Browser) -> None:
    told.run("document.querySelectorAll('.name').forEach(one => one.click())")
    told.until("document.querySelector('.why .conclusion')")
    told.run("document.getElementById('slider').focus()")
    told.press("Home", 36)
    told.until("document.getElementById('moment').dataset.shown === 'entry 1'")
    assert "<img src=x onerror=alert(1)>" in told.text("h1")
    assert told.run("[...document.images].map(one => one.getAttribute('src')).join()") == "icon.svg"
    assert told.complaints() == []


@SHOWN
def test_slots_are_shown_as_the_machine_tells_of_them(told: Browser) -> None:
    shown = told.text("#slots")
    assert "slot_a runs release 0.2" in " ".join(shown.split())
    assert "slot_b tentative: confirmed within 4 min, or back to slot_a" in " ".join(shown.split())


@SHOWN
def test_what_is_another_under_its_name_is_said_in_words(page: Browser, machine: Machine) -> None:
    another = machine_pb2.FieldChange(name="volume/web", op="change", path="uid", old="7", new="12")
    machine.answers["HistoryService/Compare"] = history_pb2.CompareResponse(changes=[another])
    machine.streams = [Streamed(entry(1), entry(2)), Streamed(watched("web"), SYNCED)]
    with opened(page, machine):
        go(page, 1)
        assert "uid 7 → 12 (another one under this name)" in " ".join(page.text("#moment").split())


@SHOWN
def test_what_is_looked_at_stays_while_the_machine_goes_on(
    page: Browser, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capsulectl.ui.live.WINDOW", 3)
    machine.answers["CapsuleService/GetInfo"].journal_seq = 3
    entries = Streamed(entry(1), entry(2), entry(3))
    machine.streams = [entries, Streamed(watched("web"), SYNCED)]
    extent = "[document.getElementById('slider').min, document.getElementById('slider').max].join()"
    with opened(page, machine):
        go(page, 1)
        for seq in (4, 5, 6):
            entries.queue.put(entry(seq))
        page.until("document.getElementById('moment-text').textContent.endsWith('5 entries since')")
        assert page.run(extent) == "1,3" and page.text("#moment-title") == "Entry 1"
        page.click("#now")
        page.until(f"{extent} === '4,6'")
        tree = machine.answers["HistoryService/Show"].tree
        for depth, seq in enumerate((1, 6)):
            tree.add(depth=depth, entry=entry(seq))
        machine.streams.append(Streamed(entry(1), entry(2), entry(3), None))
        go(page, 1)
        page.until("document.querySelectorAll('#moment .tree li').length === 2")  # what came of it meanwhile


@SHOWN
def test_no_script_can_be_brought_in_and_nothing_sent_away(told: Browser) -> None:
    for script in ("document.body.innerHTML = '<b>x</b>'", "document.body.insertAdjacentHTML('beforeend', '<b>x</b>')"):
        refused = f"(() => {{ try {{ {script} }} catch (error) {{ return error.name }} }})()"
        assert told.run(refused) == "TypeError", script
    assert told.run("fetch('http://127.0.0.1:9/').then(() => 'sent', error => error.name)") == "TypeError"
    assert any("Content Security Policy" in one for one in told.complaints())


class Other(BaseHTTPRequestHandler):
    """Somebody else's page, from another port."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title><body></body>")

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is printed."""


@contextmanager
def elsewhere() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@SHOWN
def test_another_page_reads_nothing_even_if_it_knows_the_address(told: Browser, machine: Machine) -> None:
    address = told.run("location.href").partition("#")[0]
    asked = len(machine.asked)
    told.open(address.replace("127.0.0.1", "attacker.localhost"))  # a name that leads to loopback
    assert "asked by its own address only" in told.text("body")
    with elsewhere() as attacker:
        told.open(attacker)
        for path in ("", "read/machine?at=1", "follow/live"):
            got = told.run(f"fetch('{address}{path}').then(one => one.text(), error => error.name)")
            assert got == "TypeError", path
        heard = f"""new Promise(done => {{ const live = new EventSource('{address}follow/live');
            live.onmessage = live.onopen = () => done('heard'); live.onerror = () => {{ live.close(); done('refused'); }}; }})"""
        assert told.run(heard) == "refused"
        framed = f"""new Promise(done => {{ const frame = document.createElement('iframe'); frame.src = '{address}';
            frame.onload = () => done(frame.contentDocument === null ? 'foreign' : 'read'); document.body.append(frame); }})"""
        assert told.run(framed) == "foreign"
        assert any("frame-ancestors" in one for one in told.complaints())
    assert len(machine.asked) == asked, "nothing was asked of the machine for them"


@SHOWN
def test_a_screen_reader_is_told_what_each_thing_is(told: Browser) -> None:
    found = told.names()
    for part in (
        ("banner", ""), ("main", ""), ("contentinfo", ""), ("slider", "The moment that is shown"), ("region", "Time"),
        ("button", "The entry before"), ("textbox", "Go to a moment: an entry, a time or a boot"),
        ("combobox", "show"), ("combobox", "of"), ("heading", "Workloads"),
    ):  # fmt: skip
        assert any(role == part[0] and name.startswith(part[1]) for role, name in found), part
    assert not [
        role for role, name in found if role in ("button", "slider", "combobox", "textbox", "link") and not name
    ]
    reached = told.run("""(() => [...document.querySelectorAll('button, select, input, summary, a')]
        .filter(one => one.tabIndex < 0).length)()""")
    assert reached == 0, "everything that can be pressed is reached by the keyboard"


@SHOWN
def test_it_fits_a_narrow_window_and_what_a_person_prefers(told: Browser) -> None:
    told.window(360, 640)
    assert told.run("document.documentElement.scrollWidth") <= 360
    told.window(1280, 900)
    grounds = []
    for scheme in ("light", "dark"):
        told.prefers(color_scheme=scheme, reduced_motion="reduce")
        grounds.append(told.run("getComputedStyle(document.body).backgroundColor"))
        assert told.run("document.getAnimations().length") == 0
    assert grounds == ["rgb(245, 244, 239)", "rgb(15, 18, 21)"]
    told.prefers()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (("ui", "--port", "70000"), "It must be from 0 to 65535."),
        (("ui", "--capsule", "unix:/nowhere"), "the capsule does not answer at unix:/nowhere"),
    ],
)
def test_what_cannot_be_shown_is_said_where_it_was_asked(line: tuple[str, ...], says: str, tmp_path: Path) -> None:
    done = subprocess.run([CTL, *line], capture_output=True, text=True, check=False)
    assert done.returncode and done.stdout == "" and says in done.stderr
