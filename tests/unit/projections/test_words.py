"""Amounts as people read them."""

import pytest

from projections.words import bytes_text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (1_023, "1023 B"), (1 << 10, "1 KiB"), (1_536, "1.5 KiB"), (100 << 10, "100 KiB"),
        ((1 << 20) - 1, "1 MiB"), ((1 << 20) - (1 << 10), "1023 KiB"), (64 << 20, "64 MiB"), ((3 << 30) // 2, "1.5 GiB"),
        ((1 << 40) - 1, "1 TiB"), (2_048 << 40, "2048 TiB"),
    ],
)  # fmt: skip
def test_an_amount_has_at_most_one_decimal_and_never_1024_of_a_unit(count: int, text: str) -> None:
    assert bytes_text(count) == text
