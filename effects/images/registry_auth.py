"""Being let in by a registry: its challenge, and the answer to it, Basic or a Bearer token of its token server.

Source: RFC 7235 (challenges), RFC 6750 (Bearer), and the distribution project's token authentication specification.
"""

import asyncio
import base64
import re
import time
from collections.abc import Awaitable, Callable, Sequence

import httpx
import msgspec

from effects.errors import RegistryDenied, RegistryUnreachable, RegistryUntrusted
from effects.images.reference import is_loopback
from effects.images.registry import Access
from journal.entry import UNREADABLE

_TOKEN = r"[\w!#$%&'*+.^`|~-]+"
# A comma is what the RFC has between two parts; some registries write a semicolon.
_SCHEME = re.compile(rf"\s*[,;]?\s*([A-Za-z][\w-]*)(?=\s+{_TOKEN}\s*=|\s*(?:[,;]|$))")
_PARAMETER = re.compile(rf'\s*[,;]?\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,;]+))')
_LIFE_S = 60.0
_MARGIN_S = 5.0


class Challenge(msgspec.Struct, frozen=True):
    """What a registry asks for."""

    scheme: str
    parameters: dict[str, str] = {}


class Answer(msgspec.Struct, frozen=True):
    """A token server's answer. `expires_in` seconds, a minute if it does not say."""

    token: str = ""
    access_token: str = ""
    expires_in: float = _LIFE_S


Ask = Callable[[str, dict[str, str], str], Awaitable[bytes]]
"""GET (url, query, Authorization header or nothing) from a token server. Raises RegistryUnreachable, RegistryDenied."""


def parse_challenges(headers: Sequence[str]) -> tuple[Challenge, ...]:
    """The WWW-Authenticate headers; schemes in lower case."""
    found: list[Challenge] = []
    for header in headers:
        at = 0
        while (scheme := _SCHEME.match(header, at)) is not None and scheme.end() > at:
            at, parameters = scheme.end(), {}
            while (one := _PARAMETER.match(header, at)) is not None:
                at = one.end()
                quoted = one[2]
                parameters[one[1].lower()] = one[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            found.append(Challenge(scheme[1].lower(), parameters))
    return tuple(found)


def basic(access: Access) -> str:
    """The header's value."""
    pair = f"{access.username}:{access.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


class Authenticator:
    """Answers one registry's challenges and keeps tokens while they are good."""

    def __init__(self, access: Access, ask: Ask) -> None:
        self._access = access
        self._ask = ask
        self._schemes: dict[str, str] = {}
        self._tokens: dict[tuple[str, str, str], tuple[str, float]] = {}
        self._asking = asyncio.Lock()

    def header(self, scope: str) -> str:
        """What to send along unasked: what was good for this scope last time."""
        return self._schemes.get(scope, "")

    async def answer(self, challenges: Sequence[Challenge], scope: str, refused: str) -> str:
        """The header that answers a challenge. `refused` is what was sent and not taken; a token that was renewed
        meanwhile is answered as it is. Raises RegistryDenied, RegistryUnreachable, RegistryUntrusted."""
        by_scheme = {challenge.scheme: challenge.parameters for challenge in challenges}
        async with self._asking:
            known = self._schemes.get(scope, "")
            if known and known != refused:
                return known
            if "bearer" in by_scheme:
                header = await self._bearer(by_scheme["bearer"], scope, renew=bool(refused))
            elif "basic" in by_scheme and self._access.username and not refused:
                header = basic(self._access)
            else:
                raise denied(self._access)
            self._schemes[scope] = header
            return header

    async def _bearer(self, parameters: dict[str, str], scope: str, renew: bool) -> str:
        realm, service = parameters.get("realm", ""), parameters.get("service", "")
        scope = parameters.get("scope", scope)
        if not realm.startswith("https://") and self._access.username and not self._may_be_plain(realm):
            raise RegistryUntrusted(
                f"{self._access.host} wants the credentials sent to {realm}, which is not encrypted: they were not sent"
            )
        token, until = self._tokens.get((realm, service, scope), ("", 0.0))
        if renew or time.monotonic() >= until:
            query = {"service": service, "scope": scope, "client_id": "capsule"}
            query = {name: value for name, value in query.items() if value}
            content = await self._ask(realm, query, basic(self._access) if self._access.username else "")
            try:
                answer = msgspec.json.decode(content, type=Answer)
            except UNREADABLE as error:
                raise RegistryUnreachable(f"the token server of {self._access.host} gives no token: {error}") from error
            token = answer.token or answer.access_token
            self._tokens[realm, service, scope] = token, time.monotonic() + answer.expires_in - _MARGIN_S
        return f"Bearer {token}"

    def _may_be_plain(self, realm: str) -> bool:
        """A token server without TLS is as good as a registry without. Where it is, is read as by who asks it."""
        if self._access.plain_http:
            return True
        try:
            url = httpx.URL(realm)
        except httpx.InvalidURL:
            return False
        return url.scheme == "http" and is_loopback(url.netloc.decode())


def denied(access: Access, why: str = "") -> RegistryDenied:
    """What to tell when a registry does not let in."""
    said = f" ({why})" if why else ""
    if access.username:
        return RegistryDenied(
            f"{access.host} does not let {access.username} have that{said}: another user or password is set with "
            f"`capsulectl image login {access.host}`"
        )
    return RegistryDenied(
        f"{access.host} lets nobody have that without credentials{said}, or it does not exist: "
        f"`capsulectl image login {access.host} -u USER` sets them"
    )
