"""Image references: `busybox` means `docker.io/library/busybox:latest`, as everywhere else. Pure."""

import re

_DOMAIN = re.compile(r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"


class BadReference(ValueError):
    """Raised on a string that can name no image."""


def normalise(text: str) -> str:
    """The full form: domain/path:tag, or domain/path@digest, or domain/path:tag@digest. Raises BadReference."""
    rest, _, digest = text.partition("@")
    if (digest and not _DIGEST.fullmatch(digest)) or text.endswith("@"):
        raise BadReference(f"{text!r} is no image reference: behind the @ stands sha256: and 64 hex digits")
    head, slash, tail = rest.partition("/")
    is_domain = bool(slash) and ("." in head or ":" in head or head == "localhost" or head != head.lower())
    domain, path = (head, tail) if is_domain else (DEFAULT_DOMAIN, rest)
    if domain == "index.docker.io":
        domain = DEFAULT_DOMAIN
    path, colon, tag = path.partition(":")
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = f"library/{path}"
    components = path.split("/")
    good = _DOMAIN.fullmatch(domain) and all(_COMPONENT.fullmatch(part) for part in components)
    if not good or (colon and not _TAG.fullmatch(tag)):
        raise BadReference(f"{text!r} is no image reference: write it like `busybox:1.36` or `host/path/name:tag`")
    if not tag and not digest:
        tag = DEFAULT_TAG
    return f"{domain}/{path}{':' + tag if tag else ''}{'@' + digest if digest else ''}"
