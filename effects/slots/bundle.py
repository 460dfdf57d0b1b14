"""A bundle as it streams by: a tar of just the members that an update has, in their order, and nothing else.

VERSION · manifest.json · manifest.sig (where it is signed) · boot.img · root.img. Plain files in the ustar form, with
their names and sizes and no more: no directory, no link, no further header. So everything that stands in it was looked
at, and whatever is there beside that is a reason to refuse it. The images themselves are proven where they end up: by
whoever writes them, who reads them back.

Source: the ustar header of pax(1). Raises BadBundle everywhere; what was taken until then is the caller's to drop.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import msgspec

from effects.slots.manifest import MANIFEST_BYTES, VERSION_BYTES, BadBundle, Manifest, Member, parse
from effects.slots.signing import SIGNATURE_BYTES

BLOCK_BYTES = 512
PIECE_BYTES = 1 << 20
TAIL_BYTES = 1 << 20
"""Writers fill up to their record's size with zeroes; no writer's record is larger."""

_OLDER = ("vmlinuz", "initramfs", "rootfs.sqsh")
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"5": "a directory",
    b"6": "a pipe",
    b"x": "a pax header",
    b"g": "a pax header",
    b"L": "a long name in GNU's form",
    b"K": "a long name in GNU's form",
    b"S": "a sparse file",
}


class Head(msgspec.Struct, frozen=True):
    """What stands in front of the images. `signed` is the manifest as it was signed."""

    manifest: Manifest
    signed: bytes
    signature: bytes | None


class BundleStream:
    """Read once: `head`, each member of its manifest in order, `end`. `total_bytes` (0: not said) and `sha256` (empty:
    not said) are what the sender announced."""

    def __init__(self, chunks: AsyncIterator[bytes], total_bytes: int = 0, sha256: str = "") -> None:
        self._chunks = chunks
        self._total = total_bytes
        self._announced = sha256.lower()
        self._whole = hashlib.sha256()
        self._buffer = bytearray()
        self._pending: tuple[str, int] | None = None
        self.received_bytes = 0

    async def head(self) -> Head:
        """Everything up to the first image."""
        version = (await self._small("VERSION", VERSION_BYTES)).decode("ascii", "replace")
        name, size = await self._next("manifest.json")
        if name in _OLDER:
            raise BadBundle(
                "OLDER_FORM",
                f"the bundle has {name} behind VERSION: it is an update of another system, which has four members, and "
                "not one of Capsule's",
            )
        self._expect(name, "manifest.json")
        signed = await self._whole_of(name, size, MANIFEST_BYTES)
        manifest = parse(signed)
        if version != f"{manifest.version}\n":
            raise BadBundle("OTHER_VERSION", "VERSION and manifest.json name different versions")
        first = manifest.members[0].name
        name, size = await self._next(first)
        signature = None
        if name == "manifest.sig":
            signature = await self._whole_of(name, size, SIGNATURE_BYTES)
        else:
            self._pending = (name, size)
        return Head(manifest, signed, signature)

    async def member(self, member: Member) -> AsyncIterator[bytes]:
        """Its content in pieces, as many bytes as the manifest says."""
        name, size = self._pending or await self._next(member.name)
        self._pending = None
        self._expect(name, member.name)
        if size != member.size:
            raise BadBundle("OTHER_SIZE", f"{name} has {size} bytes, and {member.size} in the manifest")
        left = size
        while left:
            piece = await self._some(min(left, PIECE_BYTES), name)
            left -= len(piece)
            yield piece
        await self._padding(size, name)

    async def end(self) -> None:
        """Nothing comes any more, and all that came is what was announced."""
        for _ in range(2):
            block = await self._exactly(BLOCK_BYTES, "its end")
            if any(block):
                name, _ = self._parsed(block)
                raise BadBundle("EXTRA_MEMBER", f"{name[:64]!r} stands behind the last member: nothing else may")
        filled = 0
        while piece := await self._more():
            filled += len(piece)
            if filled > TAIL_BYTES or any(piece):
                raise BadBundle("EXTRA_BYTES", "something stands behind the bundle's end")
        if self._total and self.received_bytes != self._total:
            raise BadBundle("CUT", f"{self._total} bytes were announced, and {self.received_bytes} came: push again")
        if self._announced and self._whole.hexdigest() != self._announced:
            raise BadBundle("BAD_HASH", "the bundle is not the one that was announced: it was damaged on its way")

    # --- members -------------------------------------------------------------------------------------------------

    async def _small(self, wanted: str, most: int) -> bytes:
        name, size = await self._next(wanted)
        self._expect(name, wanted)
        return await self._whole_of(name, size, most)

    async def _whole_of(self, name: str, size: int, most: int) -> bytes:
        if not 0 < size <= most:
            raise BadBundle("TOO_LARGE", f"{name} has {size} bytes: from 1 to {most} are good")
        data = await self._exactly(size, name)
        await self._padding(size, name)
        return data

    async def _next(self, wanted: str) -> tuple[str, int]:
        block = await self._exactly(BLOCK_BYTES, f"the header of {wanted}")
        if not any(block):
            raise BadBundle("MISSING_MEMBER", f"the bundle ends where {wanted} should stand")
        return self._parsed(block)

    def _expect(self, name: str, wanted: str) -> None:
        if name == wanted:
            return
        if ".." in name.split("/") or name.startswith("/"):
            raise BadBundle("BAD_NAME", f"a member is called {name[:64]!r}: a path that leads elsewhere")
        raise BadBundle(
            "OTHER_MEMBER", f"{name[:64]!r} stands where {wanted} should: it is doubled, extra or displaced"
        )

    def _parsed(self, block: bytes) -> tuple[str, int]:
        """Name and size of a plain file's header."""
        said = _octal(block[148:156])
        if said is None or said != sum(block[:148]) + 8 * 0x20 + sum(block[156:]):
            raise BadBundle("NO_TAR", "what came is no bundle: a header's sum is wrong, so it is no tar or was damaged")
        if block[257:263] != b"ustar\0":
            raise BadBundle("NO_TAR", "the bundle is no tar in the ustar form")
        kind = block[156:157]
        name = block[:100].split(b"\0")[0].decode("ascii", "replace")
        if kind not in (b"0", b"\0"):
            raise BadBundle(
                "BAD_MEMBER", f"{name[:64]!r} is {_KINDS.get(kind, 'of an unknown kind')}, and no plain file"
            )
        if any(block[345:500]):
            raise BadBundle("BAD_NAME", f"{name[:64]!r} has a directory in front of its name")
        size = _octal(block[124:136])
        if size is None:
            raise BadBundle("BAD_SIZE", f"{name[:64]!r} has no size that could be read")
        return name, size

    # --- bytes ---------------------------------------------------------------------------------------------------

    async def _padding(self, size: int, name: str) -> None:
        if any(await self._exactly(-size % BLOCK_BYTES, name)):
            raise BadBundle("EXTRA_BYTES", f"something stands behind {name}, where nothing may")

    async def _exactly(self, size: int, what: str) -> bytes:
        while len(self._buffer) < size:
            self._buffer += await self._arrived(what)
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def _some(self, most: int, what: str) -> bytes:
        if not self._buffer:
            arrived = await self._arrived(what)
            if len(arrived) <= most:
                return arrived  # as nearly all of an image does, and is not copied
            self._buffer += arrived
        data = bytes(self._buffer[:most])
        del self._buffer[:most]
        return data

    async def _more(self) -> bytes:
        """Whatever comes; empty at the end."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data or await self._chunk()

    async def _arrived(self, what: str) -> bytes:
        data = await self._chunk()
        if not data:
            raise BadBundle("CUT", f"the bundle ended in the middle of {what}: push it again, whole")
        return data

    async def _chunk(self) -> bytes:
        while (chunk := await anext(self._chunks, None)) is not None:
            if chunk:
                if self._announced:
                    # Beside the loop: on a slow machine hashing takes longer than whoever else waits can.
                    await asyncio.to_thread(self._whole.update, chunk)
                self.received_bytes += len(chunk)
                if self._total and self.received_bytes > self._total:
                    raise BadBundle("TOO_LONG", f"{self._total} bytes were announced, and more came")
                return chunk
        return b""


def _octal(field: bytes) -> int | None:
    digits = field.rstrip(b"\0 ").lstrip(b" ")
    return int(digits, 8) if digits and set(digits) <= set(b"01234567") else None
