"""The timeline of an update as SVG: a lane for each system that ran, its boots as bars, their stages in them, and what
happened as numbered marks; the numbers are those of the page's table. Pure.

An update is pushed, boots and is judged within minutes, but may have been pushed days before: a pause of more than
`PAUSE_NS` is drawn as one, broken. What has no time of its own (a boot that left none) stands where it must have been,
dashed.
"""

from collections.abc import Iterable, Iterator, Sequence
from html import escape

import msgspec

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


class Placed(msgspec.Struct, frozen=True):
    """A moment with its number in the table, and when it is drawn; `about`: that is not known, only where it must have
    been."""

    number: int
    moment: Moment
    at: int
    about: bool


class Scale:
    """From wall time to a place, pauses shortened."""

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


def placed(report: Postmortem) -> list[Placed]:
    """Every moment of the report, numbered in its order, with a time to draw it at."""
    ended = max((one.at for one in report.timeline if one.role == "before"), default=0)
    began = next((one.began_at for one in report.boots if one.role == "after" and one.began_at), 0)
    unknown = [one for one in report.timeline if not one.at]
    longest_ns = max((one.mono_ms for one in unknown), default=0) * 1_000_000
    start = max(ended, began - longest_ns) if began else ended
    made = []
    for number, one in enumerate(report.timeline, 1):
        at = one.at or min(start + one.mono_ms * 1_000_000, began or start + one.mono_ms * 1_000_000)
        made.append(Placed(number, one, at, not one.at))
    return made


def drawing(report: Postmortem) -> str:
    """The element, without any style of its own: the page's classes colour it."""
    moments = placed(report)
    lanes: list[Role] = [role for role in ROLES if any(one.moment.role == role for one in moments)]
    boots = [one for one in report.boots if one.began_at and one.role in lanes]
    since = min((one.at for one in moments), default=0)
    scale = Scale((
        *(one.at for one in moments),
        *(max(since, one.at - one.moment.took_ms * 1_000_000) for one in moments),
        *(max(since, one.began_at) for one in boots), *(one.ended_at for one in boots),
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
        parts += _lane(role, top, report, boots, own, scale, since)
    parts += _axis(scale, [one.at for one in moments] + [max(since, one.began_at) for one in boots], height)
    parts.append("</svg>")
    return "\n".join(parts)


def _pauses(scale: Scale, height: int) -> Iterator[str]:
    for before, after, gap in scale.pauses:
        x = (scale.x(before) + scale.x(after)) / 2
        yield f'<line class="pause" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{height - 30}"/>'
        yield f'<text class="pause" x="{x:.1f}" y="{TOP - 4}" text-anchor="middle">{_span(gap)}</text>'


def _lane(
    role: Role, top: int, report: Postmortem, boots: Sequence[BootOf], own: Sequence[Placed], scale: Scale, since: int
) -> Iterator[str]:
    system = report.version if role == "tried" else report.from_version
    if role == "after" and report.outcome == "confirmed":
        system = report.version
    bar = top + 14
    yield f'<text class="lane" x="8" y="{bar + 10}">{escape(ROLES[role])}</text>'
    yield f'<text class="system" x="8" y="{bar + 26}">{escape(printable(system)[:18])}</text>'
    drawn = [one for one in boots if one.role == role]
    for one in drawn:
        x, end = scale.x(max(since, one.began_at)), scale.x(one.ended_at)
        yield _bar("boot", x, bar, end - x, boot_text(one))
    if not drawn and own:
        x, end = scale.x(min(one.at for one in own)), scale.x(max(one.at for one in own))
        yield _bar("boot about", x, bar, end - x, "when this boot was is not known exactly")
    for place in own:
        if place.moment.took_ms:
            x, end = scale.x(max(since, place.at - place.moment.took_ms * 1_000_000)), scale.x(place.at)
            yield _bar("stage bad" if place.moment.bad else "stage", x, bar, end - x, place.moment.text)
    if role == "tried" and report.outcome == "rolled-back" and own:
        yield _end(scale.x(max((*(one.at for one in own), *(one.ended_at for one in drawn)))), bar, report.conclusion)
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


def _axis(scale: Scale, times: Sequence[int], height: int) -> Iterator[str]:
    """The time of day, where there is room for it."""
    y, until = height - 12, 0.0
    yield f'<line class="axis" x1="{LEFT}" y1="{y - 14}" x2="{WIDTH - RIGHT}" y2="{y - 14}"/>'
    for at in sorted({one for one in times if one}):
        x = scale.x(at)
        if x - 26 >= until and x + 26 <= WIDTH:
            until = x + 34
            yield f'<line class="axis" x1="{x:.1f}" y1="{y - 17}" x2="{x:.1f}" y2="{y - 11}"/>'
            yield f'<text class="axis" x="{x:.1f}" y="{y}" text-anchor="middle">{moment(at)[11:19]}</text>'


def _span(ns: int) -> str:
    seconds = ns // SECOND_NS
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds} s"


def label(one: Placed) -> str:
    """When, as the page's table has it."""
    return f"about {moment(one.at)[11:19]}" if one.about and one.at else when(one.moment)
