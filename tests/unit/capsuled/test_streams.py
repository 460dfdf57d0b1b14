"""What a streaming call's beginning keeps of a command line."""

from hypothesis import given
from hypothesis import strategies as some

from capsuled.streams import ARGV_CHARS, shortened


def test_a_command_line_is_kept_as_it_is() -> None:
    assert shortened(("sh", "-c", "x" * 4_000)) == ("sh", "-c", "x" * 4_000)


def test_one_that_is_too_long_says_how_much_is_left_out() -> None:
    assert shortened(("sh", "x" * 9_000, "a", "b")) == ("sh", "x" * (ARGV_CHARS - 3) + "…", "… and 2 more")
    assert shortened(("x" * 9_000,)) == ("x" * ARGV_CHARS + "…",)


@given(some.lists(some.text(max_size=3) | some.just("x" * 3_000)).map(tuple))
def test_it_is_bounded_whatever_it_is(argv: tuple[str, ...]) -> None:
    kept = shortened(argv)
    assert sum(len(one) + 1 for one in kept) < ARGV_CHARS + 64
    assert kept == argv or kept[-1].startswith("… and ") or kept[-1].endswith("…")
