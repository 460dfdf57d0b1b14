"""How far a guest's clock is: nothing that the way of its answer explains, and nothing that it does not say."""

import pytest

from effects.microvms.guest_clock import TOLERANCE_NS, behind_ns

NOW, S = 1_800_000_000 * 10**9, 10**9


@pytest.mark.parametrize(
    ("took_ns", "said_ns", "behind"),
    [
        (0, NOW - 3_600 * S, 3_600 * S),
        (0, NOW + 3_600 * S, -3_600 * S),
        (2 * S, NOW - S, 0),
        (2 * S, NOW, 0),
        (2 * S, NOW - 2 * S, 0),
        (2 * S, NOW - 11 * S, 10 * S),
        (0, NOW - TOLERANCE_NS, 0),
        (0, NOW - TOLERANCE_NS - 1, TOLERANCE_NS + 1),
        (0, 0, 0),
        (0, -(2**63), 0),
        (0, 2**63 - 1, NOW - 2**63 + 1),
    ],
    ids=[
        *("an hour behind", "an hour ahead", "asked and answered at once", "answered at the end", "at the beginning"),
        *("more than the way", "little", "more than that", "does not say", "before the epoch", "the last there is"),
    ],
)
def test_the_distance(took_ns: int, said_ns: int, behind: int) -> None:
    assert behind_ns(NOW, took_ns, said_ns) == behind
    assert -(2**63) <= behind < 2**63, "it goes into a message"
