"""What history is asked for: spans, moments and names, as operators write them."""

import pytest

from capsulectl.errors import USAGE, Failure
from capsulectl.history import name_in
from capsulectl.moments import moment
from capsulectl.render import moment as printed
from capsulectl.times import parse_since, parse_until

NOW = 1_800_000_000.0


@pytest.mark.parametrize("text", ["2h", "2 h", "2h ago", "2 h ago", " 120m ago "])
def test_a_span_back(text: str) -> None:
    assert parse_since(text, NOW) == int((NOW - 7_200) * 1e9)


def test_the_first_moment_of_1970_is_not_none() -> None:
    assert parse_since("1970-01-01T00:00Z") == 1 and parse_since("") == 0
    assert moment("1970-01-01T00:00:00.000000000Z").at_unix_ns == 1


@pytest.mark.parametrize(
    ("text", "lasts_ns"),
    [
        ("2026-11-24T10:07:48.123456789Z", 1),
        ("2026-11-24T10:07:48.123Z", 1_000_000),
        ("2026-11-24 10:07:48,1+00:00", 100_000_000),
        ("2026-11-24 10:07:48Z", 1_000_000_000),
        ("20261124T100748Z", 1_000_000_000),
        ("2026-11-24T10:07Z", 60_000_000_000),
        ("2026-11-24T10Z", 3_600_000_000_000),
        ("2h ago", 1),
    ],
)
def test_an_end_lasts_as_long_as_a_clock_shows_it(text: str, lasts_ns: int) -> None:
    assert parse_until(text, NOW) == parse_since(text, NOW) + lasts_ns - 1


def test_a_day_as_an_end_is_all_of_it() -> None:
    assert parse_until("2026-11-24", NOW) == parse_since("2026-11-25", NOW) - 1


@pytest.mark.parametrize("text", ["2027-01-15T08Z", "2027-01-15T08:00Z", "2027-01-15T08:00:00Z"])
def test_an_hour_that_has_only_begun_is_none_that_has_not_come_yet(text: str) -> None:
    """NOW is 08:00 of that day: the capsule refuses what is minutes ahead of it."""
    assert int(NOW * 1e9) <= parse_until(text, NOW) < int((NOW + 60) * 1e9)


@pytest.mark.parametrize("at_ns", [1_796_133_411_640_297_520, 1_796_133_411_999_999_999, 1_796_133_411_000_000_000])
def test_a_time_that_was_printed_has_what_happened_at_it(at_ns: int) -> None:
    """Cut to milliseconds, as `history` prints it, or to seconds, as `why` does."""
    for text in (printed(at_ns), printed(at_ns)[:19]):
        assert parse_since(text) <= at_ns <= moment(text, "--to").at_unix_ns
        assert moment(text, "--before", begins=True).at_unix_ns <= at_ns


def test_a_fraction_is_read_to_its_last_digit() -> None:
    assert parse_since("2026-12-01T14:36:51.640297523Z") % 1_000_000_000 == 640_297_523


@pytest.mark.parametrize("text", ["soon", "2h from now", "99999999999d", "9999-12-31T23:59", "2026-11-24T10:00 ago"])
def test_what_is_no_moment_is_refused_before_it_is_sent(text: str) -> None:
    with pytest.raises(Failure, match=r"--until .*: give a span like 10m") as refused:
        parse_until(text, NOW)
    assert refused.value.code == USAGE
    with pytest.raises(Failure, match=r"--at .* is no moment"):
        moment(text)


@pytest.mark.parametrize(
    ("asked", "name"),
    [("web", "web"), ("volume/data", "data"), ("key/home", "home"), ("docker.io/library/a:1", "docker.io/library/a:1")],
)
def test_a_name_with_its_kind_is_that_name(asked: str, name: str) -> None:
    assert name_in(asked) == name
