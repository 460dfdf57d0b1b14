"""Hostile streams on a guest's channel by chance; 10,000 of them with `make fuzz`."""

from tests.fuzz.channel import run

STREAMS = 1_000


def test_no_stream_makes_an_end_hold_more_than_it_may_or_take_what_was_not_sent() -> None:
    refused, understood = run(STREAMS, seed=1)
    assert STREAMS // 3 < refused < STREAMS * 9 // 10, "most are refused, and some are not"
    assert understood > 3 * STREAMS
