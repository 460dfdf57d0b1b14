"""The report of an update as one page of HTML that needs nothing else: no script, no font, no picture from outside, and
a policy in it that says so. Everything that comes from a log or a name is escaped.
"""

from collections.abc import Iterator, Sequence
from html import escape

from capsulectl.postmortem_drawing import drawing, label, placed
from capsulectl.postmortem_text import ROLES, boot_text, differences, facts_of, since, workloads
from capsulectl.render import printable
from projections.postmortem import Postmortem

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5d6b7d; --line: #d5dce5; --back: #ffffff; --card: #f5f7fa;
  --bar: #c3d3ea; --stage: #7fa3d8; --mark: #2f62b0; --bad: #c0392b; --good: #23804a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9f0; --soft: #9aa7b8; --line: #36404e; --back: #14181e;
  --card: #1d232b; --bar: #33455f; --stage: #4d74ad; --mark: #6ea0ea; --bad: #ef6a5a; --good: #58bd82; } }
body { margin: 0 auto; padding: 2rem 1.2rem 4rem; max-width: 66rem; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.3; margin: 0 0 1rem; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
.label { color: var(--soft); letter-spacing: .02em; margin: 0; }
.card { background: var(--card); border-left: 4px solid var(--mark); padding: .8rem 1.1rem; border-radius: 3px; }
.card.bad { border-color: var(--bad); } .card.good { border-color: var(--good); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th { text-align: left; color: var(--soft); font-weight: 600; }
th, td { padding: .25rem .7rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.when, td.number { white-space: nowrap; font-variant-numeric: tabular-nums; color: var(--soft); }
td.text { overflow-wrap: anywhere; } tr.bad td.text { color: var(--bad); }
tr.part th { padding-top: 1rem; color: var(--ink); }
tr.part span { font-weight: 400; color: var(--soft); }
pre { background: var(--card); padding: .8rem 1rem; overflow-x: auto; font: 12.5px/1.45 ui-monospace, monospace; }
summary { cursor: pointer; font-weight: 600; } svg { width: 100%; min-width: 46rem; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: var(--ink); } svg text.lane { font-weight: 600; font-size: 12px; }
svg text.system, svg text.axis, svg text.pause { fill: var(--soft); } svg rect.boot { fill: var(--bar); }
svg rect.about { fill: none; stroke: var(--stage); stroke-dasharray: 4 3; } svg rect.stage { fill: var(--stage); }
svg rect.stage.bad { fill: var(--bad); } svg .small { fill: var(--mark); } svg .small.bad { fill: var(--bad); }
svg .mark circle { fill: var(--mark); } svg .mark.bad circle { fill: var(--bad); }
svg .mark text { fill: #fff; font-size: 10px; }
svg line { stroke: var(--line); } svg line.stem { stroke: var(--mark); } svg line.stem.bad { stroke: var(--bad); }
svg path.end { stroke: var(--bad); stroke-width: 3; fill: none; }
svg line.pause { stroke-dasharray: 2 4; stroke: var(--soft); }
"""


def page(report: Postmortem) -> str:
    """The whole of it."""
    return "\n".join(_page(report)) + "\n"


def _page(report: Postmortem) -> Iterator[str]:
    title = f"Update {report.update}: {report.conclusion}"
    yield from (
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{_text(title)}</title>",
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
        f'<p class="label">Post-mortem of update {report.update}</p>',
        f"<h1>{_text(report.conclusion)}</h1>",
        f'<div class="card{_tone(report)}"><dl>',
    )
    last = ""
    for name, value in facts_of(report):
        yield f"<dt>{'' if name == last else _text(name)}</dt><dd>{_text(value)}</dd>"
        last = name
    yield "</dl></div>"
    yield from ("<h2>Timeline</h2>", f'<div class="scroll">{drawing(report)}</div>')
    yield from _timeline(report)
    yield from _table("What was different", ("", "before", "new"), differences(report))
    yield from _table("Workloads", ("name", "before", "under the new system", "afterwards"), workloads(report))
    if report.excerpts:
        yield "<h2>Ends of logs</h2>"
    for number, excerpt in enumerate(report.excerpts):
        shown = " open" if not number else ""
        lines = "\n".join(map(_text, excerpt.lines))
        yield f"<details{shown}><summary>{_text(excerpt.title)}</summary><pre>{lines}</pre></details>"
    yield from ("</body>", "</html>")


def _tone(report: Postmortem) -> str:
    return " good" if report.outcome == "confirmed" else " bad" if report.failed else ""


def _timeline(report: Postmortem) -> Iterator[str]:
    yield '<div class="scroll"><table>'
    yield "<tr><th></th><th>when</th><th>in that boot</th><th>entry</th><th>what</th></tr>"
    role = ""
    for one in placed(report):
        if one.moment.role != role:
            role = one.moment.role
            boots = "; ".join(boot_text(boot) for boot in report.boots if boot.role == role)
            yield f'<tr class="part"><th colspan="5">{ROLES[one.moment.role]} <span>{_text(boots)}</span></th></tr>'
        bad = ' class="bad"' if one.moment.bad else ""
        yield (
            f'<tr{bad}><td class="number">{one.number}</td><td class="when">{_text(label(one))}</td>'
            f'<td class="when">{since(one.moment)}</td><td class="number">{one.moment.seq or ""}</td>'
            f'<td class="text">{_text(one.moment.text)}</td></tr>'
        )
    yield "</table></div>"


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    yield f'<h2>{_text(title)}</h2><div class="scroll"><table>'
    yield f"<tr>{''.join(f'<th>{_text(one)}</th>' for one in headings)}</tr>"
    for row in rows:
        yield f"<tr>{''.join(f'<td class={chr(34)}text{chr(34)}>{_text(one)}</td>' for one in row)}</tr>"
    yield "</table></div>"


def _text(value: str) -> str:
    return escape(printable(value))
