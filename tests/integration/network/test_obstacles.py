"""What stands in the way of the bridge: other hands' rules, as ufw and firewalld write them, among the kernel's own."""

from pathlib import Path

import pytest

from capsuled.processes import CommandFailed, run
from effects.network.linux_driver import LinuxNetwork
from tests.support.bridge import HTTP, driver_in, on_a_machine

pytestmark = pytest.mark.real

_AS_UFW = b"""
table ip filter {
  chain ufw-user-input { }
  chain ufw-not-local { fib daddr type local return; limit rate 3/minute log; drop; }
  chain ufw-before-input { iifname lo accept; ct state { established, related } accept; jump ufw-not-local; \
    jump ufw-user-input; }
  chain INPUT { type filter hook input priority 0; policy drop; jump ufw-before-input; }
}
"""
"""Its `default deny incoming`, abridged."""
_AS_FIREWALLD = b"""
table inet firewalld {
  chain trusted { accept; }
  chain public { tcp dport 22 accept; reject with icmpx admin-prohibited; }
  chain filter_INPUT_ZONES { goto public; }
  chain filter_FORWARD_ZONES { goto public; }
  chain filter_INPUT { type filter hook input priority 10; policy accept; \
    ct state { established, related } accept; ct status dnat accept; iifname lo accept; ct state invalid drop; \
    jump filter_INPUT_ZONES; reject with icmpx admin-prohibited; }
  chain filter_FORWARD { type filter hook forward priority 10; policy accept; \
    ct state { established, related } accept; ct status dnat accept; iifname lo accept; ct state invalid drop; \
    jump filter_FORWARD_ZONES; reject with icmpx admin-prohibited; }
}
"""
"""Its zones, abridged: who is in none is in public."""


def test_what_stands_in_the_way_is_told_until_it_does_not() -> None:
    async def look(directory: Path) -> None:
        driver = driver_in(directory)
        await run("sysctl", "-qw", "net.ipv4.ip_forward=0")
        (told,) = await driver.obstacles()
        assert "net.ipv4.ip_forward is 0" in told
        await run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        assert await driver.obstacles() == ()
        wall = b"table inet wall { chain in { type filter hook forward priority 0; policy drop; }; }"
        await run("nft", "-f", "-", stdin=wall)
        (told,) = await driver.obstacles()
        assert "chain in of nft table inet wall has policy drop" in told and "what is forwarded" in told
        await run("nft", "add rule inet wall in iifname br0 accept")
        assert await driver.obstacles() == ()
        await driver.ensure((HTTP,))
        assert len(await driver.obstacles()) == 1, "nothing goes to the bridge, and there is a host port now"
        await run("nft", "add rule inet wall in oifname br0 accept")
        assert await driver.obstacles() == (), "its own rules are none"
        await run(
            "nft",
            "-f",
            "-",
            stdin=b"table ip6 filter { chain f { type filter hook forward priority 0; policy drop; }; }",
        )
        assert await driver.obstacles() == (), "IPv6 is not the bridge's"
        await run("nft", "-f", "-", stdin=_AS_UFW)
        (told,) = await driver.obstacles()
        assert "chain INPUT of nft table ip filter has policy drop" in told and "name server" in told
        assert "port 53, udp and tcp" in told and "`ufw allow in on br0 to any port 53`" in told
        await run("nft", "add rule ip filter ufw-user-input iifname br0 udp dport 53 accept")
        assert len(await driver.obstacles()) == 1, "large answers come by tcp"
        await run("nft", "add rule ip filter ufw-user-input iifname br0 tcp dport 53 accept")
        assert await driver.obstacles() == ()
        await run("nft", "-f", "-", stdin=_AS_FIREWALLD)
        both = await driver.obstacles()
        assert ["what is forwarded" in told for told in both] == [False, True]
        for told in both:
            assert "of nft table inet firewalld has a rule that drops or rejects the rest" in told
            assert "`firewall-cmd --permanent --zone=trusted --add-interface=br0 && firewall-cmd --reload`" in told
        for hook in ("INPUT", "FORWARD"):
            await run("nft", f"insert rule inet firewalld filter_{hook}_ZONES iifname br0 goto trusted")
        assert await driver.obstacles() == ()
        await driver.clear()
        await driver.close()

        async def crashing(*argv: str, stdin: bytes = b"") -> bytes:
            if argv[1:4] == ("-j", "list", "table"):
                raise CommandFailed("`nft -j list table`: killed by SIGSEGV")
            return await run(*argv, stdin=stdin)

        driver = LinuxNetwork(crashing, directory, "br0", "172.20.254.0/24", "ffee-test")
        await run("sysctl", "-qw", "net.ipv4.ip_forward=0")
        first, *others = await driver.obstacles()
        assert "ip_forward" in first and len(others) == 4
        assert all("is not known: the firewall's rules cannot be read: `nft" in told for told in others)
        await driver.close()

    on_a_machine(look)


def test_what_keeps_the_lan_from_host_ports_is_told_as_long_as_there_are_any() -> None:
    async def look(directory: Path) -> None:
        driver = driver_in(directory)
        await run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        for command in ("link add d0 type veth peer d1", "address add 192.0.2.1/24 dev d0", "link set d1 up"):
            await run("ip", *command.split())
        await run("ip", "link", "set", "d0", "up")
        await run("ip", "route", "add", "default", "via", "192.0.2.2")
        wall = "ct state established,related accept; iifname br0 accept;"
        wall = f"table inet wall {{ chain f {{ type filter hook forward priority 0; policy drop; {wall} }}; }}"
        await run("nft", "-f", "-", stdin=wall.encode())
        await driver.ensure(())
        assert await driver.obstacles() == (), "there is no host port yet"
        await driver.ensure((HTTP,))
        (told,) = await driver.obstacles()
        assert "drops what is forwarded to host ports (80/tcp of 172.20.254.2)" in told and "policy drop" in told
        await run("nft", "add rule inet wall f iifname d0 ip saddr 192.0.2.0/24 accept")
        assert await driver.obstacles() == (), "the LAN passes"
        await run("ip", "route", "del", "default")
        assert len(await driver.obstacles()) == 1, "by which it comes is not known"
        await run("nft", "add rule inet wall f ct status dnat accept")
        assert await driver.obstacles() == ()
        await driver.clear()
        await driver.close()

    on_a_machine(look)
