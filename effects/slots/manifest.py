"""What a bundle says of itself: its system, its members with their sizes and hashes, and what that system can read.

The form (manifest.json): `format` 2 · `version` (numbers with dots) · `commit` · `built` (Unix seconds) ·
`architecture` · `members`, those of MEMBERS in their order, each with `name`, `size` in bytes and `sha256` in hex ·
`levels`, what the system reads: `events` (types with their highest version), `views`, `formats` (what lies on /perm) ·
`expires` (Unix seconds, 0: never). Nothing else may stand in it: what a reader does not know it cannot have checked.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

FORMAT = 2
ARCHITECTURE = "x86_64"
MEMBERS = ("boot.img", "root.img")
VERSION_BYTES = 64
MANIFEST_BYTES = 256 << 10
FORMATS: Mapping[str, int] = {"journal": 1, "containerd": 1, "lvm": 1, "ext4": 1, "payload": 1}
"""On-disk formats below /perm, by the highest version that this release reads."""

_VERSION = re.compile(r"\d{1,6}(?:\.\d{1,6}){0,3}")
_COMMIT = re.compile(r"[0-9a-f]{3,40}\+?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class BadBundle(Exception):
    """Raised for a bundle that is not to be installed: a word for machines, and a sentence for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One image."""

    name: str
    size: int
    sha256: str


class Levels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the system reads."""

    events: dict[str, int]
    views: tuple[int, ...]
    formats: dict[str, int]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See above."""

    format: int
    version: str
    commit: str
    built: int
    architecture: str
    members: tuple[Member, ...]
    levels: Levels
    expires: int = 0

    @property
    def size_bytes(self) -> int:
        """Of both images."""
        return sum(one.size for one in self.members)


def encode(manifest: Manifest) -> bytes:
    """As it stands in a bundle."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def parse(data: bytes) -> Manifest:
    """What the bytes say, whole and in bounds. Raises BadBundle."""
    try:
        plain = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBundle("BAD_MANIFEST", f"manifest.json is no JSON: {error}") from error
    found = plain.get("format") if isinstance(plain, dict) else None
    if found != FORMAT:
        raise BadBundle("OTHER_FORMAT", f"the bundle has the format {found!r}, and this capsule reads {FORMAT}")
    try:
        manifest = msgspec.convert(plain, Manifest)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BadBundle("BAD_MANIFEST", f"manifest.json cannot be read: {error}") from error
    for holds, said in _rules(manifest):
        if not holds():
            raise BadBundle("BAD_MANIFEST", f"manifest.json: {said}")
    if manifest.architecture != ARCHITECTURE:
        raise BadBundle(
            "OTHER_ARCHITECTURE", f"the bundle is for {manifest.architecture[:32]}, and this machine is {ARCHITECTURE}"
        )
    return manifest


def _rules(manifest: Manifest) -> tuple[tuple[Callable[[], Any], str], ...]:
    names = tuple(one.name for one in manifest.members)
    return (
        (lambda: _VERSION.fullmatch(manifest.version), "the version must be numbers with dots between them"),
        (lambda: _COMMIT.fullmatch(manifest.commit), "the commit must be hexadecimal"),
        (lambda: 0 <= manifest.built < 1 << 40, "the time of building is none"),
        (lambda: 0 <= manifest.expires < 1 << 40, "the time of expiry is none"),
        (lambda: names == MEMBERS, f"the members must be {' and '.join(MEMBERS)}, in this order"),
        (lambda: all(0 < one.size < 1 << 40 for one in manifest.members), "a member's size is none"),
        (lambda: all(_SHA256.fullmatch(one.sha256) for one in manifest.members), "a member's hash is no SHA-256"),
    )
