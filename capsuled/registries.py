"""How registries are reached: what operators said, from the state, with its secrets from the sealed store.

User and password are sealed together with the host they are for, so that the hash in the journal is of nothing that
could be a value elsewhere; so are the certificates, which are nobody's business but long.
"""

from collections.abc import Mapping
from typing import Protocol

from capsuled.engine import Engine
from capsuled.sealing import SealBroken
from effects.images.reference import registry_domain
from effects.images.registry import Access
from projections.state import Registry

_SEPARATOR = "\0"


class Opener(Protocol):
    """What opens sealed values."""

    def open(self, name: str) -> str:
        """The value behind a name. Raises SealBroken."""
        ...


class RegistryAccess:
    """By a registry's domain, how it is to be reached now. Raises SealBroken."""

    def __init__(self, engine: Engine, vault: Opener) -> None:
        self._engine = engine
        self._vault = vault

    def __call__(self, domain: str) -> Access:
        """See the class."""
        host, registries = registry_domain(domain), self._engine.machine.registries
        known = registries.get(known_as(registries, domain))
        if known is None:
            return Access(host)
        try:
            password = secret_of(self._vault.open(known.secret), known.host) if known.secret else ""
            ca_pem = self._vault.open(known.ca) if known.ca else ""
        except SealBroken as broken:
            raise SealBroken(
                f"what was kept for {host} cannot be opened with this machine's key: say it again with "
                f"`capsulectl image login {host}`"
            ) from broken
        return Access(host, known.username, password, ca_pem, known.plain_http)


def known_as(registries: Mapping[str, Registry], domain: str) -> str:
    """The spelling under which a registry is kept, or would be. An older release kept hosts as they were typed; what
    has been said since goes before that."""
    host = registry_domain(domain)
    if host in registries:
        return host
    return min((kept for kept in registries if registry_domain(kept) == host), default=host)


def meant_by(registries: Mapping[str, Registry], text: str) -> str:
    """The same for what an operator typed: what is listed can be named as it is listed, even beside another spelling of
    it."""
    return text if text in registries else known_as(registries, text)


def sealed_text(host: str, username: str, password: str) -> str:
    """What is sealed for a registry."""
    return _SEPARATOR.join((host, username, password))


def secret_of(text: str, host: str) -> str:
    """The password in a sealed text. Raises SealBroken when it is another host's."""
    found, _, rest = text.partition(_SEPARATOR)
    if found != host:
        raise SealBroken(f"a sealed value is not that of {host}")
    return rest.partition(_SEPARATOR)[2]
