"""What containers can get on this machine: what its kernel would refuse is not asked of it."""

from pathlib import Path

from capsuled.abilities import network_settings
from effects.runs.privileges import NETWORK_SETTINGS

ALL = "         0          0 4294967295\n"


def test_of_a_networks_settings_those_that_the_kernel_has_are_made(tmp_path: Path) -> None:
    assert network_settings(tmp_path, ALL) == ()
    (tmp_path / "net" / "ipv4").mkdir(parents=True)
    (tmp_path / "net" / "ipv4" / "ping_group_range").touch()
    assert network_settings(tmp_path, ALL) == ("net.ipv4.ping_group_range",)
    (tmp_path / "net" / "ipv4" / "ip_unprivileged_port_start").touch()
    assert set(network_settings(tmp_path, ALL)) == set(NETWORK_SETTINGS)


def test_who_has_not_all_groups_gives_none_of_them_away(tmp_path: Path) -> None:
    (tmp_path / "net" / "ipv4").mkdir(parents=True)
    for name in NETWORK_SETTINGS:
        (tmp_path / name.replace(".", "/")).touch()
    mapped = "         0     100000      65536\n"
    assert network_settings(tmp_path, mapped) == ("net.ipv4.ip_unprivileged_port_start",)
