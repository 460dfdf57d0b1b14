"""The client of registries: what is asked of them, and what their answers mean for an image.

Source: the OCI distribution specification 1.1. One attempt a call: whoever calls decides whether to try again.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from effects.errors import ImageCorrupt, ImageUnknown, ImageUnreadable, RegistryUnreachable, RegistryUntrusted
from effects.images import oci
from effects.images.platform import architecture
from effects.images.reference import Reference, parse
from effects.images.registry import Access
from journal.specs import ImagePin

if TYPE_CHECKING:
    from effects.images.registry_host import RegistryHost

DOCUMENT_BYTES = 8 << 20
_ACCEPT = ", ".join((*oci.INDEX_TYPES, *oci.MANIFEST_TYPES))


class _Shared:
    """A client and how many use it, the registry that keeps it for the next one among them."""

    def __init__(self, host: "RegistryHost") -> None:
        self.host = host
        self.users = 1

    async def let_go(self) -> None:
        """One uses it no more; with the last its connections end."""
        self.users -= 1
        if not self.users:
            await self.host.close()


class HttpRegistry:
    """See the protocols. `access` says how a registry, by its domain, is to be reached. Raises DriverError."""

    def __init__(self, access: Callable[[str], Access]) -> None:
        self._access = access
        self._hosts: dict[str, _Shared] = {}
        self._connect: type[RegistryHost] | None = None
        self._architecture = architecture()

    async def resolve(self, ref: str) -> ImagePin:
        """See the protocol."""
        reference = parse(ref)
        content = await self._manifest(reference, reference.digest or reference.tag)
        digest = oci.digest_of(content)
        if reference.digest and digest != reference.digest:
            raise _corrupt(reference.digest, reference.domain)
        kind = oci.media_type_of(content)
        if kind in oci.INDEX_TYPES:
            chosen = oci.choose(oci.parse(content, oci.Index, "index").manifests, self._architecture)
            return ImagePin(ref, digest, chosen.digest)
        if kind not in oci.MANIFEST_TYPES:
            raise ImageUnreadable(f"{ref} is {kind} at its registry, which is no image that runs today: build it anew")
        # A lone manifest does not say what it is for; its config does, and it is better known before anything is done.
        config = oci.parse(content, oci.Manifest, "manifest").config
        facts = await self._document(reference, f"blobs/{config.digest}", {}, "config")
        if oci.digest_of(facts) != config.digest:
            raise _corrupt(config.digest, reference.domain)
        oci.check_platform(oci.parse_facts(facts), self._architecture)
        return ImagePin(ref, digest, digest)

    async def manifest(self, ref: str, digest: str) -> bytes:
        """See the protocol."""
        reference = parse(ref)
        content = await self._manifest(reference, digest)
        if oci.digest_of(content) != digest:
            raise _corrupt(digest, reference.domain)
        return content

    async def _manifest(self, reference: Reference, which: str) -> bytes:
        return await self._document(reference, f"manifests/{which}", {"Accept": _ACCEPT}, "manifest")

    async def _document(self, reference: Reference, path: str, headers: dict[str, str], what: str) -> bytes:
        async with (
            self._host(reference.domain) as host,
            host.get(f"/v2/{reference.path}/{path}", _scope(reference), headers) as response,
        ):
            content = await host.upto(response, DOCUMENT_BYTES)
        if len(content) > DOCUMENT_BYTES:
            raise ImageUnreadable(f"{reference} has a {what} that is too large to be one")
        return content

    async def blob(self, ref: str, digest: str, size: int, offset: int) -> AsyncGenerator[bytes, None]:
        """See the protocol."""
        if offset >= size:
            return
        reference = parse(ref)
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        async with (
            self._host(reference.domain) as host,
            host.blobs,
            host.get(f"/v2/{reference.path}/blobs/{digest}", _scope(reference), headers) as response,
        ):
            # A server that knows no ranges sends everything: then what is here already is passed over.
            skip, left = (0 if response.status_code == HTTPStatus.PARTIAL_CONTENT else offset), size - offset
            async for piece in host.read(response):
                piece, skip = piece[skip:], max(0, skip - len(piece))
                left -= len(piece)
                if left < 0:
                    raise _corrupt(digest, reference.domain)
                if piece:
                    yield piece
            if left:
                # Cut off without a word, or a server that sends less than it was asked for: the rest is to come.
                raise RegistryUnreachable(f"{reference.domain} ends {digest} {left} bytes before its end")

    async def check(self, access: Access) -> None:
        """See the protocol."""
        host = (await self._loaded())(access)
        try:
            async with host.get("/v2/", "", {}):
                pass
        except ImageUnknown as error:
            raise RegistryUntrusted(f"{access.host} answers, but is no registry") from error
        finally:
            await host.close()

    async def close(self) -> None:
        """End every connection."""
        for shared in self._hosts.values():
            await shared.host.close()

    @asynccontextmanager
    async def _host(self, domain: str) -> "AsyncIterator[RegistryHost]":
        """One client a registry, made anew when its access has changed. What is under way on the old one goes on, and
        its connections end with the last of that: they are whose the old password was."""
        connect = await self._loaded()
        access, replaced = self._access(domain), None
        known = self._hosts.get(domain)
        if known is None or known.host.access != access:
            known, replaced = _Shared(connect(access)), known
            self._hosts[domain] = known
        known.users += 1
        try:
            if replaced is not None:
                await replaced.let_go()
            yield known.host
        finally:
            await known.let_go()

    async def _loaded(self) -> "type[RegistryHost]":
        """Beside everything else that is done meanwhile."""
        if self._connect is None:
            self._connect = await asyncio.to_thread(_load)
        return self._connect


def _load() -> "type[RegistryHost]":
    """httpx and what it brings along would be a tenth of a daemon's start, and nobody has asked for an image yet."""
    from effects.images.registry_host import RegistryHost

    return RegistryHost


def _scope(reference: Reference) -> str:
    return f"repository:{reference.path}:pull"


def _corrupt(digest: str, domain: str) -> ImageCorrupt:
    return ImageCorrupt(f"{domain} sends something else than {digest}: its copy of the image is damaged")
