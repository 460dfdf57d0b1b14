"""The page of figures names a command for each of them, and every command."""

import calendar
import re
from collections.abc import Iterator

from bench.__main__ import GROUPS
from tools.place import ROOT

PAGE = (ROOT / "docs/benchmarks.md").read_text()
DAY = re.compile(rf"[1-9]\d? (?:{'|'.join(calendar.month_name[1:])})\b")


def rows() -> Iterator[list[str]]:
    """The cells of what came out, a row's figure also where the row above has it."""
    table = PAGE.partition("## What came out")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    figure = ""
    for line in lines[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        figure = cells[0] or figure
        yield [figure, *cells[1:]]


def test_every_figure_has_its_command_its_value_and_its_day() -> None:
    for figure, _peer, _bar, group, alone, company, day in rows():
        assert group.strip("`") in GROUPS, figure
        assert (alone or company) and DAY.match(day), figure


def test_every_group_of_the_benchmarks_has_a_figure_on_the_page() -> None:
    assert {row[3].strip("`") for row in rows()} == set(GROUPS)


def test_every_figure_on_the_page_is_one_that_its_group_takes() -> None:
    told = set(re.findall(r"`([a-z_.\d]+(?: --verify)?)`", " ".join(row[0] for row in rows())))
    names = {re.sub(r"\.(?:1|64|256|long|to|from)$", "", one) for one in told}
    code = "".join(path.read_text() for path in sorted((ROOT / "bench").rglob("*.py")))
    assert not [one for one in names if f'"{one}' not in code]
