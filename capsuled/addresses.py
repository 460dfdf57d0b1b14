"""Where the network's API is served: addresses as an operator gives them."""

from collections.abc import Sequence

import msgspec

DEFAULT_LISTEN = "127.0.0.1:50000"
"""Of a hosted daemon; the OS listens on all of its addresses."""


class Listen(msgspec.Struct, frozen=True):
    """`addresses`: HOST:PORT each, none for nowhere. `asked`: an operator named them, so every one must work."""

    addresses: tuple[str, ...] = (DEFAULT_LISTEN,)
    asked: bool = False


OS_LISTEN = Listen(("0.0.0.0:50000",), asked=True)
"""Of the operating system: whoever is on the LAN may come to the door."""

DEFAULT_METRICS = "127.0.0.1:50001"
"""Where `--metrics` alone listens: no key is asked for there."""


def parse_listen(given: Sequence[str] | None) -> Listen:
    """From the command line. Raises ValueError with a sentence."""
    if not given:
        return Listen()
    if "none" in given:
        if len(given) > 1:
            raise ValueError("`--listen none` goes with no other --listen")
        return Listen((), asked=True)
    for address in given:
        if not is_address(address):
            raise ValueError(f"{address!r} is no ADDRESS:PORT: say 0.0.0.0:50000, [::]:50000 or 192.0.2.7:50000")
    return Listen(tuple(given), asked=True)


def parse_metrics(given: str) -> str:
    """From the command line: an address, or `none`, which is empty. Raises ValueError with a sentence."""
    if given and given != "none" and not is_address(given):
        raise ValueError(f"--metrics {given!r} is no ADDRESS:PORT: say {DEFAULT_METRICS}, or --metrics alone for it")
    return "" if given == "none" else given


def is_address(text: str) -> bool:
    """Whether it is an ADDRESS:PORT, an IPv6 one in brackets."""
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") or ":" not in host
    return bool(host) and bracketed and port.isdecimal() and int(port) <= 65535
