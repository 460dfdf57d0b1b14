"""What the hand reader makes of a list's command line is what the parser makes of it; the rest it leaves alone."""

from typing import Any

import pytest

from capsulectl import workload_list
from capsulectl.app import app
from capsulectl.arguments import arranged
from capsulectl.list_line import ListLine, read


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A command line, as the parser hands it on."""
    found: list[ListLine] = []
    monkeypatch.setattr(workload_list, "Connection", lambda capsule: capsule)
    monkeypatch.setattr(workload_list, "show_all", lambda capsule, output, has: found.append(ListLine(output, capsule)))

    def parse(tokens: list[str]) -> ListLine:
        path, behind = arranged(app, tokens)
        app([*path, *behind], exit_on_error=False, print_error=False, result_action="return_value")
        return found.pop()

    return parse


@pytest.mark.parametrize(
    "line",
    [
        "list",
        "ls -o wide",
        "ps -ojson -q",
        "ps -a",
        "list -qa -o name",
        "workload list --all",
        "workload list --output=name --capsule home",
        "workload ls -qoyaml",
        "--capsule=unix:/run/capsule.sock --quiet workload ps",
    ],
)
def test_a_plain_line_is_read_as_the_parser_reads_it(parsed: Any, line: str) -> None:
    tokens = line.split()
    assert read(tokens) == parsed(tokens)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "workload",
        "image list",
        "list --help",
        "list web",
        "list -w",
        "list -l app=web",
        "list --phase running",
        "list -o xml",
        "list -o json -o name",
        "list --capsule -q",
        "list -o",
        "list --",
    ],
)
def test_every_other_line_is_the_parsers(line: str) -> None:
    assert read(line.split()) is None
