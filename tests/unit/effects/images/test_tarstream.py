"""Tars as they stream by: every form that builders write, in any chunks, and what is no tar."""

import asyncio
import bz2
import gzip
import io
import lzma
import tarfile
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable

import pytest

from effects.errors import ImageUnreadable
from effects.images.tarstream import Member, TarStream
from tests.support.work import looked_at

LONG = "a-directory-with-a-long-name/" * 8 + "file"


def packed(form: int, *members: tuple[str, bytes], links: bool = False) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, content in members:
            one = tarfile.TarInfo(name)
            one.size = len(content)
            tar.addfile(one, io.BytesIO(content))
        if links:
            for kind, name in ((tarfile.LNKTYPE, "hard"), (tarfile.SYMTYPE, "soft"), (tarfile.DIRTYPE, "directory")):
                one = tarfile.TarInfo(name)
                one.type, one.linkname = kind, LONG
                tar.addfile(one)
    return out.getvalue()


async def chunks(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def read(content: bytes, size: int = 1000, holes: dict[int, int] | None = None) -> list[tuple[Member, bytes]]:
    async def main() -> list[tuple[Member, bytes]]:
        stream, found = TarStream(chunks(content, size), holes), []
        while (member := await stream.next()) is not None:
            skip = (holes or {}).get(member.offset, 0)
            found.append((member, b"".join([piece async for piece in stream.content(skip)])))
        return found

    return asyncio.run(main())


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("size", [1, 511, 1 << 20])
def test_members_come_in_order_in_whatever_chunks(form: int, size: int) -> None:
    members = (("first", b"1" * 700), ("empty", b""), ("dir/last", b"x" * 512))
    found = read(packed(form, *members), size)
    assert [(member.name, content) for member, content in found] == list(members)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_and_links_are_read_in_both_dialects(form: int) -> None:
    found = read(packed(form, (LONG, b"content"), links=True))
    assert [(member.name, member.kind, member.target) for member, _ in found] == [
        (LONG, "file", ""),
        ("hard", "hardlink", LONG),
        ("soft", "symlink", LONG),
        ("directory", "other", LONG),
    ]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_packed_archive_is_unpacked_on_the_way(pack: object) -> None:
    whole = packed(tarfile.PAX_FORMAT, ("file", b"content" * 50_000))
    halves = (whole[:30_000], whole[30_000:])
    content = b"".join(pack(half) for half in halves)  # type: ignore[operator]
    assert read(content, 777)[0][1] == b"content" * 50_000
    with pytest.raises(ImageUnreadable, match=r"cut short|in the middle"):
        read(content[:-20], 777)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_few_bytes_that_unpack_to_many_take_little_memory(pack: Callable[[bytes], bytes]) -> None:
    content = pack(bytes(64 << 20))
    tracemalloc.start()
    try:
        assert len(content) < 1 << 17 and read(content, 1 << 20) == []
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()


def test_xz_that_wants_a_gigabyte_to_be_unpacked_is_refused() -> None:
    content = bytearray(lzma.compress(bytes(4096), preset=0))
    end = 12 + (content[12] + 1) * 4
    assert content[14:16] == b"\x21\x01"
    content[16] = 36  # the size of the dictionary, 1 GiB, in the header of the first block
    content[end - 4 : end] = zlib.crc32(content[12 : end - 4]).to_bytes(4, "little")
    with pytest.raises(ImageUnreadable, match="cannot be unpacked: Memory usage limit exceeded"):
        read(bytes(content))


def noted(record: bytes) -> bytes:
    note = tarfile.TarInfo("note")
    note.type, note.size = tarfile.XHDTYPE, len(record)
    return note.tobuf() + record.ljust(-(-len(record) // 512) * 512, b"\0") + packed(tarfile.USTAR_FORMAT, ("a", b"1"))


@pytest.mark.parametrize(
    "content",
    [
        noted(b"9" * 5000 + b" size=1\n"),
        noted(b"5010 size=" + b"9" * 4999 + b"\n"),
        noted(b"28 size=9223372036854775808\n"),
        noted(b"10 size=x\n"),
        tarfile.TarInfo("a").tobuf()[:124] + b"\xff" * 12 + bytes(12),
    ],
    ids=["length", "digits", "63 bits", "letter", "negative"],
)
def test_a_size_that_no_file_has_is_no_archive(content: bytes) -> None:
    if content[124:136] == b"\xff" * 12:  # GNU's base 256 has a sign
        header = bytearray(content[:148] + b" " * 8 + tarfile.TarInfo("a").tobuf()[156:])
        header[148:156] = b"%06o\0 " % sum(header)
        content = bytes(header)
    with pytest.raises(ImageUnreadable, match="cannot be read"):
        read(content)


def test_long_notes_are_looked_at_once() -> None:
    """The daemon's loop reads them, and everything else waits for it."""
    content = noted(b"5 a=\n" * (1 << 16))
    assert looked_at(lambda: read(content)) < 20 * len(content)


def test_content_that_is_not_wanted_is_passed_over() -> None:
    async def main() -> list[str]:
        stream, names = TarStream(chunks(packed(tarfile.PAX_FORMAT, ("a", b"1" * 9000), ("b", b"2")), 100)), []
        while (member := await stream.next()) is not None:
            names.append(member.name)
            async for _ in stream.content():
                break
        return names

    assert asyncio.run(main()) == ["a", "b"]


def test_content_that_was_left_out_is_not_waited_for() -> None:
    whole = packed(tarfile.PAX_FORMAT, ("a", b"1" * 2000), ("b", b"2" * 100))
    at = next(member.offset for member, _ in read(whole) if member.name == "a")
    found = read(whole[:at] + whole[at + 1500 :], holes={at: 1500})
    assert [(member.name, content) for member, content in found] == [("a", b"1" * 500), ("b", b"2" * 100)]
    entirely = read(whole[:at] + whole[at + 2000 :], holes={at: 2000})
    assert [content for _, content in entirely] == [b"", b"2" * 100]


def test_content_that_was_left_out_and_is_needed_is_an_error() -> None:
    whole = packed(tarfile.PAX_FORMAT, ("a", b"1" * 2000))
    at = read(whole)[0][0].offset

    async def main() -> None:
        stream = TarStream(chunks(whole[:at] + whole[at + 1500 :], 1000), {at: 1500})
        await stream.next()
        async for _ in stream.content(100):
            pass

    with pytest.raises(ImageUnreadable, match="push it again"):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"this is a text, and a long one: " * 40, "no image archive"),
        (packed(tarfile.PAX_FORMAT, ("a", b"1" * 2000))[:1500], "cut short"),
        (packed(tarfile.PAX_FORMAT, ("a", b""))[:100], "cut short"),
        (b"\x28\xb5\x2f\xfd" + bytes(100), "zstd -d"),
        (b"\x1f\x8b" + bytes(100), "cannot be unpacked"),
    ],
)
def test_what_is_no_archive_is_named(content: bytes, why: str) -> None:
    with pytest.raises(ImageUnreadable, match=why):
        read(content)


def test_nothing_at_all_is_an_archive_without_members() -> None:
    assert read(b"") == []
