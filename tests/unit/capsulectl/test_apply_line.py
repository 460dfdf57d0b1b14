"""What the hand reader makes of a command line is what the parser makes of it; everything else it leaves alone."""

from typing import Any

import pytest

from capsulectl import applying
from capsulectl.app import app
from capsulectl.apply_line import ApplyLine, read
from capsulectl.arguments import arranged


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A command line, as the parser hands it on."""
    found: list[ApplyLine] = []
    monkeypatch.setattr(applying, "declare", found.append)

    def parse(tokens: list[str]) -> ApplyLine:
        path, behind = arranged(app, tokens)
        app([*path, *behind], exit_on_error=False, print_error=False, result_action="return_value")
        return found.pop()

    return parse


@pytest.mark.parametrize(
    "line",
    [
        "apply -f a.yaml",
        "apply -f a.yaml --wait",
        "apply -fa.yaml -f - --filename b --filename=c",
        "apply --wait --timeout 5 -f a.yaml -o json",
        "apply -ojson -q -f a.yaml --pull --dry-run",
        "apply -qf a.yaml",
        "apply -R -f a",
        "apply --recursive -f a -f b",
        "apply --expect-seq=7 -f a.yaml --output=name --timeout=0",
        "--capsule home -q apply -f a.yaml",
        "apply -f a.yaml --capsule=unix:/run/capsule.sock --quiet",
    ],
)
def test_a_plain_line_is_read_as_the_parser_reads_it(parsed: Any, line: str) -> None:
    tokens = line.split()
    assert read(tokens) == parsed(tokens)


@pytest.mark.parametrize(
    "line",
    [
        "apply",
        "apply --help",
        "apply -f a.yaml --help",
        "apply -f",
        "apply -f --wait",
        "apply -f -x",
        "apply a.yaml",
        "apply -f a.yaml b.yaml",
        "apply -f a.yaml --wait=yes",
        "apply -f a.yaml --no-wait",
        "apply -f a.yaml --timeout 1.5",
        "apply -f a.yaml --timeout -1",
        "apply -f a.yaml --timeout 1 --timeout 2",
        "apply -f a.yaml --expect-seq +7",
        "apply -f a.yaml --expect-seq \u0667",
        "apply -f a.yaml -o xml",
        "apply -f a.yaml --capsule --wait",
        "diff -f a.yaml",
        "-f a.yaml apply",
    ],
)
def test_every_other_line_is_the_parsers(line: str) -> None:
    assert read(line.split()) is None
