"""The report of an update in its forms: text, Markdown, data, and one page that needs nothing else."""

import re
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from capsulectl.errors import Failure
from capsulectl.postmortem import as_data, postmortem
from capsulectl.postmortem_drawing import LEFT, RIGHT, WIDTH, Scale, drawing, placed
from capsulectl.postmortem_page import page
from capsulectl.postmortem_text import markdown, text, when
from journal.evidence import Evidence, Mark
from projections.postmortem import Postmortem
from tests.support.updated import SECOND, Tale, archived, back, confirmed, ill_workload, init_exit, pushed
from tests.unit.projections.test_postmortem import only

HOSTILE = "x\"'<script>alert(1)</script>|`]]>\x1b[31m&amp;"
VOID = {"meta", "br", "link", "img"}

every_story = pytest.mark.parametrize("tale", [init_exit, ill_workload, confirmed], ids=lambda one: str(one.__name__))


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times are told in the operator's own zone: his is this one."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


class Seen(HTMLParser):
    """Elements and attributes; that what was opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def seen(html: str) -> Seen:
    parser = Seen()
    parser.feed(html)
    assert parser.open == []
    return parser


@every_story
def test_the_page_is_whole_and_needs_nothing_from_outside(tale: Callable[[], Tale]) -> None:
    parser = seen(page(only(tale())))
    assert not parser.names & {"script", "link", "img", "iframe", "object", "embed", "form", "a"}
    assert not [
        one for one in parser.attributes if one[0] in ("src", "href", "srcset", "style") or one[0].startswith("on")
    ]
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", page(only(tale())))
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in parser.attributes


@every_story
def test_the_drawing_is_svg_and_nothing_lies_beside_it(tale: Callable[[], Tale]) -> None:
    root = ElementTree.fromstring(drawing(only(tale())))
    height = float(root.get("viewBox", "").split()[3])
    for one in root.iter():
        for name, most in (("x", WIDTH), ("cx", WIDTH), ("y", height), ("cy", height)):
            assert 0 <= float(one.get(name, "0")) <= most
        assert float(one.get("x", "0")) + float(one.get("width", "0")) <= WIDTH


def test_every_numbered_mark_of_the_drawing_stands_in_the_table() -> None:
    html = page(only(ill_workload()))
    marks = set(re.findall(r'text-anchor="middle">(\d+)</text><title>', html))
    assert marks and marks <= set(re.findall(r'<td class="number">(\d+)</td><td class="when">', html))


def test_a_boot_whose_time_is_not_known_is_drawn_dashed_between_the_others() -> None:
    report = only(init_exit())
    assert 'class="boot about"' in drawing(report) and "about 10:2" in page(report)
    assert 'class="boot about"' not in drawing(only(ill_workload()))


@pytest.mark.parametrize("by_s", [-315_576_000, -100, 315_576_000])
def test_the_line_does_not_go_backwards_where_the_clock_was_set(by_s: int) -> None:
    report, unset = only(ill_workload(set_by_ns=by_s * SECOND)), only(ill_workload())
    places = [one.at for one in placed(report)]
    assert places == sorted(places) == [one.at for one in placed(unset)]
    found = re.findall(r'<circle c?x="[\d.]+', drawing(report))
    assert found == re.findall(r'<circle c?x="[\d.]+', drawing(unset))
    assert when(report.timeline[-1]) in page(report)


def test_a_boot_without_a_time_has_room_also_where_the_clock_went_back_behind_it() -> None:
    tale = Tale()
    uid = pushed(tale)
    tale.set_by_ns = -3_600 * SECOND
    back(
        tale,
        Evidence("slot_b", "boot-tried", loader="taken", marks=(Mark("initramfs", 3_300), Mark("root", 4_600))),
        uid,
    )
    found = placed(only(tale))
    times = [one.at for one in found]
    assert times == sorted(times)
    tried = [one.at for one in found if one.moment.role == "tried"]
    assert len(set(tried)) == 2
    assert 'class="boot about"' in drawing(only(tale)) and "about 09:2" in page(only(tale))


@pytest.mark.parametrize("render", [page, drawing])
def test_whatever_a_log_or_a_name_holds_it_is_shown_and_not_obeyed(render: Callable[[Postmortem], str]) -> None:
    html = render(only(ill_workload(HOSTILE)))
    assert "<script" not in html and "\x1b" not in html
    seen(html)


def test_text_has_no_control_characters_and_every_section() -> None:
    lines = "\n".join(text(only(ill_workload(HOSTILE)), wide=True))
    assert "\x1b" not in lines
    for words in ("Cause", "Rests on", "Before: slot_a", "The new system: slot_b", "Afterwards: slot_a",
                  "What was different", "Workloads", "The end of the daemon's log"):  # fmt: skip
        assert words in lines


def test_markdown_obeys_nothing_in_it() -> None:
    lines = list(markdown(only(ill_workload(HOSTILE))))
    assert lines[0].startswith("# Update 9: ")
    assert not any("<script" in re.sub(r"\\.", "", line) for line in lines)
    for line in lines:
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 4, 5), line


def test_a_fence_is_longer_than_any_in_the_log() -> None:
    from msgspec.structs import replace

    report = only(init_exit())
    shown = replace(report, excerpts=(replace(report.excerpts[0], lines=("a ``` b", "````")),))
    assert "`````text" in list(markdown(shown))


def test_data_leaves_out_what_is_empty() -> None:
    data = as_data(only(init_exit()))
    assert data["cause"] == "init-exit" and data["fromSlot"] == "slot_a" and "lookedFor" not in data
    assert data["timeline"][0] == {
        "at": data["beganAt"], "boot": "boot-before", "role": "before", "monoMs": 1_232_000, "kind": "update",
        "text": data["timeline"][0]["text"], "seq": data["update"], "bad": False, "tookMs": 0,
    }  # fmt: skip


def test_a_long_pause_is_drawn_as_a_short_one() -> None:
    second = 1_000_000_000
    scale = Scale((second, 11 * second, 100_000 * second, 100_010 * second))
    assert scale.x(second) == LEFT and scale.x(100_010 * second) == WIDTH - RIGHT
    assert scale.x(11 * second) - LEFT == pytest.approx((WIDTH - LEFT - RIGHT) / 5)
    assert [gap for _, _, gap in scale.pauses] == [99_989 * second]
    assert scale.x(6 * second) == pytest.approx((LEFT + scale.x(11 * second)) / 2)


def test_a_moment_alone_has_a_place() -> None:
    assert Scale(()).x(0) == LEFT == Scale((5,)).x(5)


# --- the command -----------------------------------------------------------------------------------------------------


def test_it_reads_an_archive_without_a_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(archived(init_exit(), tmp_path))
    for form in ("text", "table", "wide", "md", "json", "yaml", "html", "name"):
        postmortem(file=file, output=form)
        assert capsys.readouterr().out.strip()
    postmortem("0.2.0", file=file, output="name")
    assert capsys.readouterr().out == "9\n"
    with pytest.raises(Failure, match=r"nothing is remembered of an update 7.7: there are 9 \(0.2.0\)"):
        postmortem("7.7", file=file)


def test_a_machine_that_was_never_updated_says_so(tmp_path: Path) -> None:
    tale = Tale()
    tale.applies("web")
    with pytest.raises(Failure, match="nothing is remembered of an update: the system is the one that was installed"):
        postmortem(file=str(archived(tale, tmp_path)))


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="cannot be read"):
        postmortem(file=str(tmp_path / "nowhere"))
    (tmp_path / "other").write_bytes(b"x" * 100)
    with pytest.raises(Failure, match="no journal archive"):
        postmortem(file=str(tmp_path / "other"))
