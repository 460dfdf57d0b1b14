"""Hostile archives by chance; 10,000 of them with `make fuzz`."""

from tests.fuzz.trees import run

CASES = 3_000


def test_no_archive_leads_out_or_leaves_something() -> None:
    good = run(CASES, seed=1)
    assert CASES // 20 < good < CASES, "most are refused, and some are not"
