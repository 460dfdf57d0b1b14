"""What the daemon makes of the machine's numbers."""

from capsuled.host import nearly_full


def test_a_disk_is_nearly_full_when_little_is_left_by_both_counts() -> None:
    gib = 1 << 30
    assert nearly_full(2 * gib, 1000 * gib) == "" == nearly_full(gib // 2, 2 * gib)
    assert nearly_full(gib // 2, 100 * gib).startswith("the state's disk has 512 MiB of 100 GiB left")
    assert "0 B of 70 MiB" in nearly_full(0, 70 << 20)
