"""Whom the page's server answers: who knows its word, calls it by its own name, and comes from no other page. Pure.

A browser lets any page send requests to loopback, and a name that an attacker owns can lead there (DNS rebinding): so
the `Host` has to be ours, and whatever a browser says of where a request comes from, too. Other users of this machine
reach the port as well: they do not know the word, which is as long as a key.
"""

import hmac
from collections.abc import Mapping
from typing import NamedTuple

NAVIGATION = frozenset({"navigate", ""})
"""How a browser asks for a page that a person opens, wherever the link to it stood."""


class Refusal(NamedTuple):
    """A status of HTTP, and a sentence."""

    status: int
    why: str


class Door:
    """Of one server, at its port, with its word."""

    def __init__(self, port: int, word: str) -> None:
        self._hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        self._origins = frozenset(f"http://{host}" for host in self._hosts)
        self._word = word.encode()

    def judge(self, path: str, headers: Mapping[str, str]) -> str | Refusal:
        """What is asked for, behind the word; or why there is no answer. `headers` are those of one request, by their
        names in small letters."""
        if headers.get("host", "") not in self._hosts:
            return Refusal(421, "this server is asked by its own address only")
        origin = headers.get("origin")
        if origin is not None and origin not in self._origins:
            return Refusal(403, "another page may not read this one")
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            return Refusal(400, "a read has no body")
        _, _, rest = path.partition("/")
        word, slash, asked = rest.partition("/")
        if not hmac.compare_digest(word.encode(errors="surrogateescape"), self._word) or not slash:
            return Refusal(404, "there is nothing here: the address is what `capsulectl ui` printed, to its end")
        if not self._is_own(asked, headers):
            return Refusal(403, "another page may not read this one")
        return asked

    def _is_own(self, asked: str, headers: Mapping[str, str]) -> bool:
        """Where a browser says who asks: the page itself, or a person who opens it."""
        site = headers.get("sec-fetch-site", "same-origin")
        if site in ("same-origin", "none"):
            return True
        return not asked and headers.get("sec-fetch-mode", "") in NAVIGATION
