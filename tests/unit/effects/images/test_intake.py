"""What an archive that streams in leaves in memory: little, whatever it says."""

import asyncio
import io
import tarfile
import zlib
from collections.abc import AsyncIterator
from typing import cast

import pytest

from effects.errors import ImageUnreadable
from effects.images.content import ContentStore
from effects.images.intake import Intake
from effects.images.leases import Lease
from effects.images.room import Room


def links(count: int, target: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for number in range(count):
            one = tarfile.TarInfo(f"link {number}")
            one.type, one.linkname = tarfile.SYMTYPE, target
            tar.addfile(one)
    return out.getvalue()


def members(archive: bytes) -> int:
    async def chunks() -> AsyncIterator[bytes]:
        yield archive

    # Links alone need neither a store nor a lease.
    intake = Intake(cast(ContentStore, None), Room(lambda: 0), cast(Lease, None))
    return len(asyncio.run(intake.members(chunks())))


def test_links_and_their_names_are_bounded() -> None:
    assert members(links(1000, "target")) == 1000
    archive = zlib.compress(links(80, "x" * 1_000_000), wbits=31)
    assert len(archive) < 1 << 20
    with pytest.raises(ImageUnreadable, match="too many members"):
        members(archive)
