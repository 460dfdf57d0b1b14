"""The report of an update as text for a terminal, and as Markdown."""

from collections.abc import Iterator, Sequence

from capsulectl.render import moment, printable, table
from projections.postmortem import BootOf, Moment, Postmortem
from projections.stories import Role

ROLES: dict[Role, str] = {"before": "Before", "tried": "The new system", "after": "Afterwards"}
"""The parts of a timeline."""

SHOWN = 30
"""So many lines of a log are what a terminal is for."""


def text(report: Postmortem, wide: bool) -> Iterator[str]:
    """For a terminal."""
    yield f"Update {report.update}: {printable(report.conclusion)}"
    yield ""
    facts = list(facts_of(report))
    width = max(len(name) for name, _ in facts) + 3
    last = ""
    for name, value in facts:
        yield f"  {'' if name == last else name:<{width}}{printable(value)}"
        last = name
    for role, boots, moments in parts(report):
        yield ""
        yield f"{ROLES[role]}{''.join(f': {boot_text(one)}' for one in boots[:1])}"
        for boot in boots[1:]:
            yield f"  then {boot_text(boot)}"
        for one in moments:
            number = f"{one.seq or '':>7}  " if wide else ""
            mark = "!" if one.bad else " "
            yield f"  {when(one):<23}  {since(one):>10}  {number}{mark} {printable(one.text)}"
    yield from _table("What was different", ("", "BEFORE", "NEW"), differences(report))
    yield from _table("Workloads", ("NAME", "BEFORE", "NEW SYSTEM", "AFTERWARDS"), workloads(report))
    for excerpt in report.excerpts:
        yield ""
        yield f"The end of {excerpt.title}" if "last words" not in excerpt.title else _capital(excerpt.title)
        hidden = 0 if wide else max(0, len(excerpt.lines) - SHOWN)
        if hidden:
            yield f"  … {hidden} lines before: `-o wide` has all"
        yield from (f"  | {printable(line)}" for line in excerpt.lines[hidden:])


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if rows:
        yield ""
        yield title
        yield from (f"  {line}" for line in table(headings, rows).splitlines())


def markdown(report: Postmortem) -> Iterator[str]:
    """For an issue or a page of notes."""
    yield f"# Update {report.update}: {_inline(report.conclusion)}"
    yield ""
    yield from _rows(("", ""), [(f"**{name}**", value) for name, value in facts_of(report)], plain_first=True)
    yield ""
    yield "## Timeline"
    for role, boots, moments in parts(report):
        yield ""
        yield f"### {ROLES[role]}"
        yield ""
        for boot in boots:
            yield f"- {_inline(boot_text(boot))}"
        if boots:
            yield ""
        rows = [(when(one), since(one), str(one.seq or ""), f"{'❗ ' if one.bad else ''}{one.text}") for one in moments]
        yield from _rows(("when", "since the kernel began", "entry", "what"), rows)
    for title, headings, some in (
        ("What was different", ("", "before", "new"), differences(report)),
        ("Workloads", ("name", "before", "new system", "afterwards"), workloads(report)),
    ):
        if some:
            yield from ("", f"## {title}", "")
            yield from _rows(headings, some)
    for excerpt in report.excerpts:
        longest = max((len(run) for line in excerpt.lines for run in _runs_of_ticks(line)), default=0)
        fence = "`" * max(3, longest + 1)
        yield from ("", f"## {_capital(excerpt.title)}", "", f"{fence}text", *map(printable, excerpt.lines), fence)


def _rows(headings: Sequence[str], rows: Sequence[Sequence[str]], plain_first: bool = False) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{' --- |' * len(headings)}"
    for row in rows:
        cells = [one if plain_first and not number else _inline(one) for number, one in enumerate(row)]
        yield f"| {' | '.join(cells)} |"


def _inline(value: str) -> str:
    """In one line, with nothing in it that Markdown or HTML would obey."""
    return "".join(f"\\{one}" if one in "\\`*_[]<>|#" else one for one in printable(value).replace("&", "&amp;"))


def _runs_of_ticks(line: str) -> list[str]:
    return "".join(one if one == "`" else " " for one in line).split()


def _capital(title: str) -> str:
    return title[:1].upper() + title[1:]


# --- what every form has ---------------------------------------------------------------------------------------------


def facts_of(report: Postmortem) -> Iterator[tuple[str, str]]:
    """What stands at the head of a report, a name and a value a line."""
    yield "Outcome", report.outcome
    if report.cause is not None:
        sure = {"certain": "certain", "likely": "likely, not certain", "none": "nothing that was found says why"}
        yield "Cause", f"{report.cause}: {sure[report.confidence or 'none']}"
    if report.message:
        yield "It said", report.message
    for line in report.rests_on:
        yield "Rests on", line
    for line in report.looked_for:
        yield "Looked for", line
    for line in report.failing:
        yield "Failing", line
    yield "Begun", f"{moment(report.began_at)}, by {report.by}, into {report.slot}; {report.from_slot} ran"


def parts(report: Postmortem) -> Iterator[tuple[Role, list[BootOf], list[Moment]]]:
    """The timeline by the system that ran."""
    for role in ROLES:
        boots = [one for one in report.boots if one.role == role]
        moments = [one for one in report.timeline if one.role == role]
        if boots or moments:
            yield role, boots, moments


def boot_text(boot: BootOf) -> str:
    """A boot in one line."""
    began = f", its kernel began {moment(boot.began_at)}" if boot.began_at else ", when it began is not known"
    name = f"boot {boot.boot[:8]}" if boot.boot else "a boot that left no id"
    return f"{boot.slot or 'no slot'}, {boot.release or 'release not known'}, {name}{began}"


def when(one: Moment) -> str:
    """Wall time; nothing where it is not known."""
    return moment(one.at) if one.at else ""


def since(one: Moment) -> str:
    """Since the boot's kernel began."""
    return f"+{one.mono_ms / 1000:.2f} s"


def differences(report: Postmortem) -> list[tuple[str, str, str]]:
    """Rows."""
    return [(one.what, one.before or "-", one.after or "-") for one in report.differences]


def workloads(report: Postmortem) -> list[tuple[str, str, str, str]]:
    """Rows."""
    return [(one.name, one.before or "-", one.tried or "-", one.after or "-") for one in report.workloads]
