"""The timeline of an update as SVG: a lane for each system that ran, its boots as bars, their stages in them, and what
happened as numbered marks; the numbers are those of the page's table. Pure.

An update is pushed, boots and is judged within minutes, but may have been pushed days before: a pause of more than
`PAUSE_NS` is drawn as one, broken. What has no time of its own (a boot that left none) stands where it must have been,
dashed. The line is that of the boots, one behind the other, each by its monotonic clock: it never goes backwards, also
where the wall clock was set, which is only written below it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape

import msgspec
from msgspec.structs import replace

from capsulectl.postmortem_text import ROLES, boot_text, when
from capsulectl.render import moment, printable
from projections.postmortem import BootOf, Moment, Postmortem
from projections.stories import Role

WIDTH, LEFT, RIGHT = 1000, 130, 20
LANE, BAR, TOP = 92, 22, 16
SECOND_NS = 1_000_000_000
PAUSE_NS = 30 * SECOND_NS
MARK, ROWS = 9, 3
_NUMBERED = ("update", "machine", "health", "boot")


class Span(msgspec.Struct, frozen=True):
    """A boot on the line: from `at` to `end`, in nanoseconds. `clock` is the wall time at its beginning; `about`: that
    is not known, only where it must have been."""

    boot: BootOf
    at: int
    end: int
    clock: int
    about: bool


class Placed(msgspec.Struct, frozen=True):
    """A moment with its number in the table, where it is drawn on the line, and the wall time then; `about` as of its
    boot."""

    number: int
    moment: Moment
    at: int
    clock: int
    about: bool


class Scale:
    """From a time on the line to a place, pauses shortened."""

    def __init__(self, times: Iterable[int]) -> None:
        self._times = sorted({one for one in times if one}) or [0]
        self._places = [0]
        self.pauses: list[tuple[int, int, int]] = []
        for before, after in zip(self._times, self._times[1:], strict=False):
            gap = after - before
            if gap > PAUSE_NS:
                self.pauses.append((before, after, gap))
            self._places.append(self._places[-1] + min(gap, PAUSE_NS))

    def x(self, at: int) -> float:
        """Of a time that the scale was made of, or between two of them."""
        total = self._places[-1] or 1
        index = next((number for number, one in enumerate(self._times) if one >= at), len(self._times) - 1)
        place = float(self._places[index])
        if self._times[index] > at and index:
            before, after = self._times[index - 1], self._times[index]
            part = (at - before) / (after - before)
            place = self._places[index - 1] + part * (self._places[index] - self._places[index - 1])
        return LEFT + place / total * (WIDTH - LEFT - RIGHT)


def spans(report: Postmortem) -> dict[tuple[Role, str], Span]:
    """Every boot, in its order. What passed between two of them is told by the clock at the end of one and at the
    beginning of the next; those that left no time end where the next one begins."""
    boots = {(one.role, one.boot): one for one in report.boots}
    for told in report.timeline:
        boots.setdefault((told.role, told.boot), BootOf(told.boot, told.role, report.slot, "", 0, 0))
    made: dict[tuple[Role, str], Span] = {}
    unknown: list[BootOf] = []
    end = ended_at = 0
    for boot in sorted(boots.values(), key=lambda one: list(ROLES).index(one.role)):
        if not boot.began_at:
            unknown.append(boot)
            continue
        pause = max(0, boot.began_at - ended_at) if made else boot.began_at
        at = end + max(pause, sum(_length(report, one) for one in unknown))
        made |= _before(report, unknown, at, boot.began_at)
        unknown, end, ended_at = [], at + _length(report, boot), boot.ended_at
        made[boot.role, boot.boot] = Span(boot, at, end, boot.began_at, False)
    end += sum(_length(report, one) for one in unknown)
    return made | _before(report, unknown, end, ended_at)


def _before(report: Postmortem, unknown: Sequence[BootOf], end: int, clock: int) -> dict[tuple[Role, str], Span]:
    """Boots that are somewhere before a time on the line, where the clock says so."""
    made = {}
    for boot in reversed(unknown):
        length = _length(report, boot)
        end, clock = end - length, clock - length
        made[boot.role, boot.boot] = Span(boot, end, end + length, max(clock, 0), True)
    return made


def _length(report: Postmortem, boot: BootOf) -> int:
    """In nanoseconds, as far as it is known."""
    known = (one.mono_ms for one in report.timeline if (one.role, one.boot) == (boot.role, boot.boot))
    return max(boot.lived_ms, *known, 0) * 1_000_000


def placed(report: Postmortem) -> list[Placed]:
    """Every moment of the report, numbered in its order, with a time to draw it at."""
    return _placed(report, spans(report))


def _placed(report: Postmortem, of: Mapping[tuple[Role, str], Span]) -> list[Placed]:
    made = []
    for number, one in enumerate(report.timeline, 1):
        span, since_ns = of[one.role, one.boot], one.mono_ms * 1_000_000
        made.append(Placed(number, one, span.at + since_ns, one.at or span.clock + since_ns, span.about))
    return made


def drawing(report: Postmortem) -> str:
    """The element, without any style of its own: the page's classes colour it."""
    of = spans(report)
    moments = _placed(report, of)
    lanes: list[Role] = [role for role in ROLES if any(one.moment.role == role for one in moments)]
    since = min((one.at for one in moments), default=0)
    boots = [replace(one, at=max(since, one.at)) for one in of.values() if one.boot.role in lanes]
    scale = Scale((
        *(one.at for one in moments),
        *(max(since, one.at - one.moment.took_ms * 1_000_000) for one in moments),
        *(one.at for one in boots), *(one.end for one in boots),
    ))  # fmt: skip
    height = TOP + LANE * len(lanes) + 34
    title = escape(printable(f"Timeline of update {report.update}: {report.conclusion}"))
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}" xmlns="http://www.w3.org/2000/svg">',
        *_pauses(scale, height),
    ]
    for number, role in enumerate(lanes):
        top = TOP + number * LANE
        own = [one for one in moments if one.moment.role == role]
        parts += _lane(role, top, report, [one for one in boots if one.boot.role == role], own, scale, since)
    clock = {one.at: one.clock + one.at - of[one.boot.role, one.boot.boot].at for one in boots}
    parts += _axis(scale, clock | {one.at: one.clock for one in moments}, height)
    parts.append("</svg>")
    return "\n".join(parts)


def _pauses(scale: Scale, height: int) -> Iterator[str]:
    for before, after, gap in scale.pauses:
        x = (scale.x(before) + scale.x(after)) / 2
        yield f'<line class="pause" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{height - 30}"/>'
        yield f'<text class="pause" x="{x:.1f}" y="{TOP - 4}" text-anchor="middle">{_span(gap)}</text>'


def _lane(
    role: Role, top: int, report: Postmortem, boots: Sequence[Span], own: Sequence[Placed], scale: Scale, since: int
) -> Iterator[str]:
    system = report.version if role == "tried" else report.from_version
    if role == "after" and report.outcome == "confirmed":
        system = report.version
    bar = top + 14
    yield f'<text class="lane" x="8" y="{bar + 10}">{escape(ROLES[role])}</text>'
    yield f'<text class="system" x="8" y="{bar + 26}">{escape(printable(system)[:18])}</text>'
    for one in boots:
        x, end = scale.x(one.at), scale.x(one.end)
        if one.about:
            yield _bar("boot about", x, bar, end - x, "when this boot was is not known exactly")
        else:
            yield _bar("boot", x, bar, end - x, boot_text(one.boot))
    for place in own:
        if place.moment.took_ms:
            x, end = scale.x(max(since, place.at - place.moment.took_ms * 1_000_000)), scale.x(place.at)
            yield _bar("stage bad" if place.moment.bad else "stage", x, bar, end - x, place.moment.text)
    if role == "tried" and report.outcome == "rolled-back" and own:
        yield _end(scale.x(max((*(one.at for one in own), *(one.end for one in boots)))), bar, report.conclusion)
    yield from _marks(own, bar, scale)


def _end(x: float, y: int, title: str) -> str:
    """Where it died, or gave up."""
    left, right, middle, reach = x + 4, x + 14, y + BAR / 2, 5
    strokes = (
        f"M{left:.1f} {middle - reach} L{right:.1f} {middle + reach} "
        f"M{right:.1f} {middle - reach} L{left:.1f} {middle + reach}"
    )
    return f'<path class="end" d="{strokes}"><title>{escape(printable(title))}</title></path>'


def _bar(kind: str, x: float, y: int, width: float, title: str) -> str:
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y}" width="{max(width, 2):.1f}" height="{BAR}" rx="2">'
        f"<title>{escape(printable(title))}</title></rect>"
    )


def _marks(own: Sequence[Placed], bar: int, scale: Scale) -> Iterator[str]:
    """Small ones in the bar for everything, numbered ones below it for what tells the story, in a row where they find
    room."""
    free = [0.0] * ROWS
    for place in sorted(own, key=lambda one: one.at):
        x = scale.x(place.at)
        bad = " bad" if place.moment.bad else ""
        title = f"<title>{escape(printable(f'{place.number}. {place.moment.text}'))}</title>"
        numbered = place.moment.kind in _NUMBERED or place.moment.bad
        row = next((number for number, until in enumerate(free) if x - MARK >= until), -1) if numbered else -1
        if row < 0:
            yield f'<circle class="small{bad}" cx="{x:.1f}" cy="{bar + BAR / 2}" r="2.5">{title}</circle>'
            continue
        free[row] = x + MARK
        y = bar + BAR + 12 + row * 2 * MARK
        yield f'<line class="stem{bad}" x1="{x:.1f}" y1="{bar}" x2="{x:.1f}" y2="{y - MARK}"/>'
        yield (
            f'<g class="mark{bad}"><circle cx="{x:.1f}" cy="{y}" r="{MARK - 1}"/>'
            f'<text x="{x:.1f}" y="{y + 3.5}" text-anchor="middle">{place.number}</text>{title}</g>'
        )


def _axis(scale: Scale, clock: Mapping[int, int], height: int) -> Iterator[str]:
    """The time of day, where there is room for it. `clock` is what it was at times on the line."""
    y, until = height - 12, 0.0
    yield f'<line class="axis" x1="{LEFT}" y1="{y - 14}" x2="{WIDTH - RIGHT}" y2="{y - 14}"/>'
    for at in sorted(one for one, said in clock.items() if said):
        x = scale.x(at)
        if x - 26 >= until and x + 26 <= WIDTH:
            until = x + 34
            yield f'<line class="axis" x1="{x:.1f}" y1="{y - 17}" x2="{x:.1f}" y2="{y - 11}"/>'
            yield f'<text class="axis" x="{x:.1f}" y="{y}" text-anchor="middle">{moment(clock[at])[11:19]}</text>'


def _span(ns: int) -> str:
    seconds = ns // SECOND_NS
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds} s"


def label(one: Placed) -> str:
    """When, as the page's table has it."""
    return f"about {moment(one.clock)[11:19]}" if one.about and one.clock else when(one.moment)
