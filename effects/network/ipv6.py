"""Who may tell a link of ours of IPv6: nobody. Blocking, but for moments.

The bridge is IPv4 only, and the kernel gives every link that comes up IPv6 and a will to follow: one router
advertisement of a workload's would make that workload the machine's default router, and its name servers' answers and
updates would come by there. A port hears such ones as soon as another hand pulls it out of the bridge.

Both settings are made: `net.ipv6.conf.all.disable_ipv6` set to 0 by an operator turns IPv6 on again on every link, and
whoever has it then still follows nobody. Source: the kernel's Documentation/networking/ip-sysctl.rst.
"""

from pathlib import Path

_CONF = Path("/proc/sys/net/ipv6/conf")
_FOLLOWS = "accept_ra"
_OFF = {_FOLLOWS: "0", "disable_ipv6": "1"}
"""In the order in which they are written: at no moment is there a link that follows."""


def is_off(link: str) -> bool:
    """Whether there is none on the link, as on a kernel without it."""
    return all(_value(link, setting) in (None, value) for setting, value in _OFF.items())


def turn_off(link: str) -> None:
    """There is none on the link, and what came by an advertisement is gone. Raises OSError, with the setting's path,
    where /proc/sys is not to be written."""
    for setting, value in _OFF.items():
        _make(link, setting, value)


def follow_nobody(link: str) -> None:
    """The link, of the namespace that this thread is in, keeps what IPv6 it has, and takes no router from others on
    the bridge. Raises OSError."""
    _make(link, _FOLLOWS, _OFF[_FOLLOWS])


def _make(link: str, setting: str, value: str) -> None:
    if _value(link, setting) not in (None, value):
        (_CONF / link / setting).write_text(value)


def _value(link: str, setting: str) -> str | None:
    try:
        return (_CONF / link / setting).read_text().strip()
    except FileNotFoundError:
        return None  # a kernel without IPv6, or one that was told at its boot to have none
