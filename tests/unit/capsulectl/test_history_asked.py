"""What history is asked for: spans, moments and names, as operators write them."""

import pytest

from capsulectl.errors import USAGE, Failure
from capsulectl.history import name_in, parse_since
from capsulectl.moments import moment

NOW = 1_800_000_000.0


@pytest.mark.parametrize("text", ["2h", "2 h", "2h ago", "2 h ago", " 120m ago "])
def test_a_span_back(text: str) -> None:
    assert parse_since(text, NOW) == int((NOW - 7_200) * 1e9)


def test_the_first_moment_of_1970_is_not_none() -> None:
    assert parse_since("1970-01-01T00:00Z") == 1 and parse_since("") == 0
    assert moment("1970-01-01T00:00Z").at_unix_ns == 1


@pytest.mark.parametrize("text", ["soon", "2h from now", "99999999999d", "9999-12-31T23:59", "2026-11-24T10:00 ago"])
def test_what_is_no_moment_is_refused_before_it_is_sent(text: str) -> None:
    with pytest.raises(Failure, match=r"--until .*: give a span like 10m") as refused:
        parse_since(text, NOW, option="--until")
    assert refused.value.code == USAGE
    with pytest.raises(Failure, match=r"--at .* is no moment"):
        moment(text)


@pytest.mark.parametrize(
    ("asked", "name"),
    [("web", "web"), ("volume/data", "data"), ("key/home", "home"), ("docker.io/library/a:1", "docker.io/library/a:1")],
)
def test_a_name_with_its_kind_is_that_name(asked: str, name: str) -> None:
    assert name_in(asked) == name
