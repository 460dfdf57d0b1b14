"""Bundles, good ones and all others: members as they are to stand in the tar, to be altered one by one."""

import hashlib
import io
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from effects.slots.manifest import ARCHITECTURE, FORMAT, FORMATS, Levels, Manifest, Member, encode
from effects.slots.signing import kid_of, sign
from journal.codec import reader_level

BOOT, ROOT = b"boot" * 300, b"root" * 5_000
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
KID = kid_of(KEY.public_key().public_bytes_raw())
KEYS = {KID: KEY.public_key().public_bytes_raw().hex()}
Alter = Callable[[tarfile.TarInfo], None]


def member_of(name: str, data: bytes) -> Member:
    return Member(name, len(data), hashlib.sha256(data).hexdigest())


def manifest(boot: bytes = BOOT, root: bytes = ROOT, **more: Any) -> Manifest:
    made = Manifest(
        format=FORMAT,
        version="0.0.2",
        commit="abc123",
        built=2_000,
        architecture=ARCHITECTURE,
        members=(member_of("boot.img", boot), member_of("root.img", root)),
        levels=Levels(reader_level(), (1, 2), dict(FORMATS)),
    )
    return replace(made, **more)


class Bundle:
    """Members in their order: (name, content). `alter` changes a member's header, by name."""

    def __init__(self, made: Manifest | None = None, boot: bytes = BOOT, root: bytes = ROOT, **more: Any) -> None:
        self.manifest = made or manifest(boot, root, **more)
        self.members: list[tuple[str, bytes]] = [
            ("VERSION", f"{self.manifest.version}\n".encode()),
            ("manifest.json", encode(self.manifest)),
            ("boot.img", boot),
            ("root.img", root),
        ]
        self.alter: dict[str, Alter] = {}
        self.format = tarfile.USTAR_FORMAT
        self.tail = True

    def signed(self, key: Ed25519PrivateKey = KEY) -> "Bundle":
        """With a signature over the manifest as it is now."""
        self.members.insert(2, ("manifest.sig", sign(self.members[1][1], key)))
        return self

    def put(self, name: str, data: bytes) -> "Bundle":
        """Another content in the place of this member's."""
        self.members = [(one, data if one == name else held) for one, held in self.members]
        return self

    def reword(self, **fields: Any) -> "Bundle":
        """A manifest with other words, known or not, in it."""
        plain = msgspec.json.decode(self.members[1][1])
        return self.put("manifest.json", msgspec.json.encode({**plain, **fields}))

    def data(self) -> bytes:
        """The tar."""
        out = io.BytesIO()
        tar = tarfile.TarFile(fileobj=out, mode="w", format=self.format)
        for name, content in self.members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if name in self.alter:
                self.alter[name](info)
            tar.addfile(info, io.BytesIO(content))
        if self.tail:
            tar.close()
        return out.getvalue()


def pieces(data: bytes, size: int = 700) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def arriving(data: bytes, size: int = 700) -> AsyncIterator[bytes]:
    """As it comes over a network."""
    for piece in pieces(data, size):
        yield piece
