"""Addresses as an operator gives them on the daemon's command line."""

import pytest

from capsuled.addresses import DEFAULT_LISTEN, DEFAULT_METRICS, Listen, parse_listen, parse_metrics

GOOD = ("127.0.0.1:9100", "0.0.0.0:0", "[::1]:50001", "localhost:65535")
BAD = ("9100", ":9100", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "::1:50001", "127.0.0.1:http", "none:")


@pytest.mark.parametrize("text", GOOD)
def test_an_address_and_a_port_are_taken(text: str) -> None:
    assert parse_listen([text]) == Listen((text,), asked=True) and parse_metrics(text) == text


@pytest.mark.parametrize("text", BAD)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no ADDRESS:PORT: say .+:\d+"):
        parse_listen([text])
    with pytest.raises(ValueError, match=r"--metrics .* is no ADDRESS:PORT: say .+:\d+"):
        parse_metrics(text)


def test_nothing_given_is_the_default_of_the_api_and_nowhere_for_metrics() -> None:
    assert parse_listen(None).addresses == (DEFAULT_LISTEN,) and parse_metrics("") == ""


def test_none_is_nowhere() -> None:
    assert parse_listen(["none"]) == Listen((), asked=True) and parse_metrics("none") == ""


def test_by_itself_only_this_machine_is_told_anything() -> None:
    assert DEFAULT_METRICS.startswith("127.0.0.1:")
