"""What a registry must do, and what may be needed to be let in. Where images come from that nobody pushed."""

from collections.abc import AsyncGenerator
from typing import Protocol

import msgspec

from journal.specs import ImagePin


class Access(msgspec.Struct, frozen=True):
    """How one registry is to be reached. `ca_pem`: certificates to trust beside the system's; `plain_http`: without
    TLS, because an operator said so."""

    host: str
    username: str = ""
    password: str = ""
    ca_pem: str = ""
    plain_http: bool = False

    def __repr__(self) -> str:
        """Never the password."""
        return f"Access({self.host!r})"


class Registry(Protocol):
    """All registries, each by the domain of a reference: what is asked before anything is done.

    Everything raises RegistryUnreachable (try again later), RegistryUntrusted, RegistryDenied, ImageUnknown,
    ImageUnreadable.
    """

    async def resolve(self, ref: str) -> ImagePin:
        """What a normalised reference means at its registry now, for this machine. Raises WrongArchitecture."""
        ...

    async def check(self, access: Access) -> None:
        """Whether the registry answers and lets this access in."""
        ...


class ImageSource(Protocol):
    """All registries: what an image is fetched by. Raises what a Registry raises, and ImageCorrupt."""

    async def manifest(self, ref: str, digest: str) -> bytes:
        """A manifest or an index of the reference's repository, checked against its digest."""
        ...

    def blob(self, ref: str, digest: str, size: int, offset: int) -> AsyncGenerator[bytes, None]:
        """A blob's bytes from an offset on; whoever takes them checks the digest."""
        ...
