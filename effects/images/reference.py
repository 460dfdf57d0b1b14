"""Image references: `busybox` means `docker.io/library/busybox:latest`, as everywhere else. Pure."""

import re
from ipaddress import ip_address

import msgspec

_DOMAIN = re.compile(r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_DEFAULT_ALIAS = "index.docker.io"


class BadReference(ValueError):
    """Raised on a string that can name no image."""


class Reference(msgspec.Struct, frozen=True):
    """An image's full name. `domain` is the registry as it was spelled, with a port if one was given; at least one of
    the last two is set."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        """domain/path:tag, or domain/path@digest, or domain/path:tag@digest."""
        tag, digest = f":{self.tag}" if self.tag else "", f"@{self.digest}" if self.digest else ""
        return f"{self.domain}/{self.path}{tag}{digest}"


def normalise(text: str) -> str:
    """The full form of a reference. Raises BadReference."""
    return str(parse(text))


def parse(text: str) -> Reference:
    """The parts of a reference, what it leaves out filled in. Raises BadReference."""
    rest, _, digest = text.partition("@")
    if (digest and not _DIGEST.fullmatch(digest)) or text.endswith("@"):
        raise BadReference(f"{text!r} is no image reference: behind the @ stands sha256: and 64 hex digits")
    head, slash, tail = rest.partition("/")
    # No repository has capitals, so a first part that has some is a host. They stay: images and pins go by these names.
    is_domain = bool(slash) and ("." in head or ":" in head or head == "localhost" or head != head.lower())
    domain, path = (head, tail) if is_domain else (DEFAULT_DOMAIN, rest)
    if domain == _DEFAULT_ALIAS:
        domain = DEFAULT_DOMAIN
    path, colon, tag = path.partition(":")
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = f"library/{path}"
    components = path.split("/")
    good = is_host(domain) and all(_COMPONENT.fullmatch(part) for part in components)
    if not good or (colon and not _TAG.fullmatch(tag)):
        raise BadReference(f"{text!r} is no image reference: write it like `busybox:1.36` or `host/path/name:tag`")
    return Reference(domain, path, tag or ("" if digest else DEFAULT_TAG), digest)


def is_host(text: str) -> bool:
    """Whether a registry can be called like this: a name or an address, and a port if it is not the usual one."""
    return _DOMAIN.fullmatch(text) is not None


def registry_domain(host: str) -> str:
    """The one spelling by which a registry is reached and its login kept: hosts are the same in capitals, and the
    default one has a second name."""
    domain = host.lower()
    return DEFAULT_DOMAIN if domain == _DEFAULT_ALIAS else domain


def api_host(domain: str) -> str:
    """Where a registry's API answers: the default one's is not where its name says."""
    return _DEFAULT_ALIAS if domain == DEFAULT_DOMAIN else domain


def is_loopback(domain: str) -> bool:
    """Whether a registry is on this machine itself."""
    host = domain.rpartition(":")[0] if not domain.endswith("]") and ":" in domain else domain
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
