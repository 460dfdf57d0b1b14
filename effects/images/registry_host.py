"""One registry: its connections over HTTP, with TLS, challenges, redirects and ranges; how it is spoken to, and what it
is told of who asks.

Source: the OCI distribution specification 1.1.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus

import httpx
import msgspec

from effects.errors import DriverError, ImageUnknown, ImageUnreadable, RegistryUnreachable, RegistryUntrusted
from effects.images.reference import api_host, is_loopback
from effects.images.registry import Access
from effects.images.registry_auth import Authenticator, denied, parse_challenges
from effects.images.registry_condition import NoTls, condition
from journal.entry import UNREADABLE

PIECE_BYTES = 1 << 20
REDIRECTS = 5
WORDS_BYTES = 64 << 10
"""Of an error or a token: nobody who means it well says more."""
_SMALL_S = 60.0
"""What is small comes whole within this, or the registry sends it byte by byte."""
_TIMEOUT = httpx.Timeout(10.0, read=30.0, pool=60.0)
"""`pool` is how long a connection here is waited for until one is free. Blobs do not queue there: they wait for `blobs`
as long as it takes, and leave connections to documents, which come within `_SMALL_S`."""
_LIMITS = httpx.Limits(max_connections=16, keepalive_expiry=30.0)
BLOBS_AT_ONCE = 12
"""The other connections are for manifests and tokens, so that a question is answered beside whatever is coming."""
_SAID_CHARS = 200
_NOT_NOW = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)


class RegistryHost:
    """See the module. Whoever gets a blob holds one of `blobs`. Raises DriverError."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.blobs = asyncio.Semaphore(BLOBS_AT_ONCE)
        self._client = httpx.AsyncClient(
            verify=_tls(access),
            timeout=_TIMEOUT,
            limits=_LIMITS,
            trust_env=False,
            headers={"Accept-Encoding": "identity"},
        )
        self._authenticator = Authenticator(access, self._ask)
        self._base = f"http://{access.host}" if access.plain_http else ""
        self._probing = asyncio.Lock()
        self._let_in: set[str] = set()

    async def close(self) -> None:
        """End its connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def get(self, path: str, scope: str, headers: dict[str, str]) -> AsyncIterator[httpx.Response]:
        """A good answer to GET, its body still to be read."""
        base = self._base or await self._probed()
        sent = self._authenticator.header(scope)
        for _ in range(3):
            credentials = {"Authorization": sent} if sent else {}
            response = await self._send(self._client.build_request("GET", base + path, headers=headers | credentials))
            try:
                if response.status_code == HTTPStatus.UNAUTHORIZED:
                    challenges = parse_challenges(response.headers.get_list("www-authenticate"))
                    # A token comes by a connection, too: who kept this one while waiting for another would, with as
                    # many as there are, wait for ever.
                    await response.aclose()
                    sent = await self._authenticator.answer(challenges, scope, sent)
                    continue
                if response.is_success:
                    self._let_in.add(scope)
                    yield response
                    return
                said = await self._said(response)
                raise self._passing(response, path, scope, said) or self._refusal(response, path, said)
            finally:
                await response.aclose()
        raise denied(self.access)

    async def read(self, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        """The body in large pieces; of one that breaks off, all that came, and then the reason."""
        pieces: list[bytes] = []
        size, failure = 0, None
        try:
            async for piece in response.aiter_raw():
                pieces.append(piece)
                size += len(piece)
                if size >= PIECE_BYTES:
                    yield b"".join(pieces)
                    pieces, size = [], 0
        except httpx.HTTPError as error:
            failure = condition(self.access.host, error)
        if pieces:
            yield b"".join(pieces)
        if failure is not None:
            raise failure

    async def upto(self, response: httpx.Response, most: int) -> bytes:
        """The whole body of an answer that ought to be small; of a larger one as much as shows that it is."""
        content = bytearray()
        try:
            async with asyncio.timeout(_SMALL_S), aclosing(self.read(response)) as pieces:
                async for piece in pieces:
                    content += piece
                    if len(content) > most:
                        break
        except TimeoutError:
            raise RegistryUnreachable(f"{self.access.host} does not come to an end of its answer") from None
        return bytes(content)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        """Follow redirects: blobs often lie elsewhere. httpx keeps credentials with the host that they are for."""
        secure = request.url.scheme == "https"
        for _ in range(REDIRECTS):
            try:
                response = await self._client.send(request, stream=True)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise condition(self.access.host, error) from error
            if response.next_request is None:
                return response
            request = response.next_request
            await response.aclose()
            if secure and request.url.scheme != "https":
                raise RegistryUntrusted(f"{self.access.host} sends us on to {request.url.host}, which is not encrypted")
        raise RegistryUnreachable(f"{self.access.host} sends us round in circles")

    async def _probed(self) -> str:
        """Of several who ask at once, one finds it out; nobody takes for known what is still being tried."""
        async with self._probing:
            if not self._base:
                self._base = await self._probe()
            return self._base

    async def _probe(self) -> str:
        """TLS, always; only a registry on this machine itself may be spoken to without it."""
        host = api_host(self.access.host)
        base = f"https://{host}"
        if is_loopback(self.access.host):
            try:
                await (await self._send(self._client.build_request("GET", f"{base}/v2/"))).aclose()
            except NoTls:
                return f"http://{host}"
        return base

    async def _ask(self, url: str, query: dict[str, str], authorization: str) -> bytes:
        """See Ask."""
        headers = {"Authorization": authorization} if authorization else {}
        try:
            response = await self._send(self._client.build_request("GET", url, params=query, headers=headers))
        except httpx.InvalidURL as error:
            raise RegistryUnreachable(f"{self.access.host} names a token server that cannot be: {error}") from error
        try:
            if not response.is_success:
                raise self._refusal(response, response.request.url.path, await self._said(response))
            content = await self.upto(response, WORDS_BYTES)
        finally:
            await response.aclose()
        if len(content) > WORDS_BYTES:
            raise RegistryUnreachable(f"the token server of {self.access.host} gives no token: it answers without end")
        return content

    def _passing(self, response: httpx.Response, path: str, scope: str, said: str) -> DriverError | None:
        """What a refused blob means that may be had a moment later: none is asked for before its manifest was given.
        Where a registry sends us on to, an address may have run out (403), or the blob not have come yet (404); and a
        registry that let us into the repository before says no (403) for another reason than who we are."""
        code, host, named = response.status_code, self.access.host, _named(path)
        if "/blobs/" not in path or code not in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
            return None
        words, url = f": {said}" if said else "", response.request.url
        if url != httpx.URL(self._base + path):
            return RegistryUnreachable(f"{host} sends us on to {url.host} for {named}, which answers {code}{words}")
        if code == HTTPStatus.FORBIDDEN and scope in self._let_in:
            return RegistryUnreachable(f"{host} gave us the manifest, and answers {code} for {named}{words}")
        return None

    def _refusal(self, response: httpx.Response, path: str, said: str) -> DriverError:
        """What a bad status means, of what was asked for: a redirect may have led elsewhere."""
        code, host = response.status_code, self.access.host
        words = f": {said}" if said else ""
        if code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return denied(self.access, said)
        if code in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            words = f" ({said})" if said else ""
            return ImageUnknown(f"{host} does not have {_named(path)}{words}: look at its name and tag")
        if code in _NOT_NOW or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            wait = response.headers.get("retry-after", "")
            return RegistryUnreachable(f"{host} answers {code}{words}", float(wait) if wait.isdecimal() else 0.0)
        return ImageUnreadable(f"{host} answers {code}{words}")

    async def _said(self, response: httpx.Response) -> str:
        """What the registry says about it, in one line; nothing when it says it in no known form."""
        try:
            faults = msgspec.json.decode(await self.upto(response, WORDS_BYTES), type=_Faults)
        except _NOT_SAID:
            return ""
        words = "; ".join(fault.message for fault in faults.errors if fault.message) or faults.details
        return " ".join(words.split())[:_SAID_CHARS]


_NOT_SAID: tuple[type[Exception], ...] = (DriverError, *UNREADABLE)


def _named(path: str) -> str:
    """What a path of the specification names, as an operator writes it: an image, or a blob and whose it is."""
    name, kind, which = (*path.removeprefix("/v2/").rsplit("/", 2), "", "")[:3]
    if kind == "manifests":
        return f"{name}@{which}" if ":" in which else f"{name}:{which}"
    return f"{which} of {name}" if kind == "blobs" else path.removeprefix("/v2/")


def _tls(access: Access) -> ssl.SSLContext:
    """The system's certificates, and the operator's for this registry."""
    context = ssl.create_default_context()
    if access.ca_pem:
        try:
            context.load_verify_locations(cadata=access.ca_pem)
        except (ssl.SSLError, ValueError) as error:
            raise RegistryUntrusted(f"the certificates given for {access.host} cannot be read: {error}") from error
    return context


class _Fault(msgspec.Struct, frozen=True):
    message: str = ""


class _Faults(msgspec.Struct, frozen=True):
    errors: tuple[_Fault, ...] = ()
    details: str = ""
