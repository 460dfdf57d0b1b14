"""Names that operators give to capabilities and signals, in each of the ways that they write them."""

import pytest

from projections.linux import capability, signal_number


@pytest.mark.parametrize("text", ["NET_ADMIN", "net_admin", "CAP_NET_ADMIN", "cap_net_admin"])
def test_a_capability_has_one_name(text: str) -> None:
    assert capability(text) == "NET_ADMIN"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("TERM", 15), ("SIGTERM", 15), ("sigterm", 15), ("15", 15), ("64", 64), ("RTMIN", 34), ("SIGRTMIN+3", 37),
        ("RTMAX", 64), ("RTMAX-1", 63), ("0", None), ("65", None), ("NOPE", None), ("", None), ("RTMIN3", None),
        ("RTMIN+", None), ("RTMIN+x", None), ("RTMIN-1", None), ("RTMAX+1", None),
    ],
)  # fmt: skip
def test_a_signal_has_a_number_or_there_is_no_such(text: str, number: int | None) -> None:
    assert signal_number(text) == number
