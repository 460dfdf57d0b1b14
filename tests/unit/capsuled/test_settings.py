"""What may be said of the workloads' bridge when the daemon is started."""

import pytest

from capsuled.settings import Settings


@pytest.mark.parametrize("bridge", ["br0", "br-home.7", "0" * 15])
def test_a_links_name_is_taken(bridge: str) -> None:
    assert Settings(bridge=bridge).problem() == ""


@pytest.mark.parametrize("bridge", ["", "0" * 16, "a b", "a/b", "..", "-a", "a;b", "bä", "a\n", "all", "default", "lo"])
def test_a_name_that_is_none_or_every_links_ends_the_start(bridge: str) -> None:
    assert Settings(bridge=bridge).problem().startswith(f"--bridge {bridge!r}: a link's name has")


@pytest.mark.parametrize("subnet", ["10.0.0.0/33", "10.0.0.0/30", "8.8.8.0/24", "10.0.0.1/24", "nonsense"])
def test_a_subnet_is_private_and_has_room(subnet: str) -> None:
    assert Settings(subnet=subnet).problem().startswith(f"--subnet {subnet}: ")
