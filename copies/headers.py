"""The headers of a tar archive: ustar, with one pax header before it where a value does not fit.

Read are GNU's long names and its numbers in base 256 as well, as its tar writes them by default. Sparse files are in
GNU's pax format 1.0, which every tar of today reads. Source: pax(1), and the GNU tar manual for the rest.
"""

from typing import NamedTuple

from copies.errors import CopyError

BLOCK = 512
END = bytes(2 * BLOCK)
"""The end-of-archive marker."""
FILE, HARDLINK, SYMLINK, DIRECTORY, PAX, PAX_GLOBAL = b"0", b"1", b"2", b"5", b"x", b"g"
LONG_NAME, LONG_LINK, OLD_SPARSE = b"L", b"K", b"S"
_NAME, _PREFIX = 100, 155
_OCTAL_7, _OCTAL_11 = 8**7 - 1, 8**11 - 1
_MAGIC = b"ustar\x0000"
DIGITS = 20
"""No number in an archive is longer."""


class Header(NamedTuple):
    """What one header block says, as it stands there."""

    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    kind: bytes
    link: bytes


def header(
    name: bytes,
    kind: bytes,
    mode: int,
    uid: int,
    gid: int,
    mtime: int,
    size: int = 0,
    link: bytes = b"",
    more: dict[bytes, bytes] | None = None,
) -> bytes:
    """The blocks that announce a member; `size` is of what follows them, `more` are notes that make it sparse. All
    notes stand in one pax header: of two before a member, GNU's tar and Go's heed the second alone."""
    notes: dict[bytes, bytes] = {}
    prefix, short = _split(name)
    if short is None:
        notes[b"path"], prefix, short = name, b"", name[:_NAME]
    if len(link) > _NAME:
        notes[b"linkpath"], link = link, link[:_NAME]
    # Of a sparse member it stands in the block: where a note says how much follows, and another how much that is with
    # its holes, Python's tarfile looks for the next member in the wrong place.
    if size > _OCTAL_11 and not more:
        notes[b"size"], size = b"%d" % size, 0
    if uid > _OCTAL_7:
        notes[b"uid"], uid = b"%d" % uid, 0
    if gid > _OCTAL_7:
        notes[b"gid"], gid = b"%d" % gid, 0
    if not 0 <= mtime <= _OCTAL_11:
        notes[b"mtime"], mtime = b"%d" % mtime, 0
    notes |= more or {}  # behind ours: of two names, Python's tarfile takes the later one
    own = _block(short, mode, uid, gid, size, mtime, kind, link, prefix)
    return pax(notes) + own if notes else own


def pax(notes: dict[bytes, bytes]) -> bytes:
    """The blocks that say more of the next member."""
    text = b"".join(_record(key, value) for key, value in notes.items())
    return _block(b"pax", 0o644, 0, 0, len(text), 0, PAX, b"", b"") + text + padding(len(text))


def padding(size: int) -> bytes:
    """What fills the last block of a content."""
    return bytes(-size % BLOCK)


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """A name as prefix and name; None for a name that fits in no way."""
    if len(name) <= _NAME:
        return b"", name
    at = name.rfind(b"/", 0, _PREFIX + 1)
    if at > 0 and 0 < len(name) - at - 1 <= _NAME:
        return name[:at], name[at + 1 :]
    return b"", None


def _block(
    name: bytes, mode: int, uid: int, gid: int, size: int, mtime: int, kind: bytes, link: bytes, prefix: bytes
) -> bytes:
    block = b"%s%07o\0%07o\0%07o\0%s%011o\0        %s%s%s%s%s" % (
        name.ljust(100, b"\0"), mode, uid, gid, _size(size), mtime, kind, link.ljust(100, b"\0"),
        _MAGIC, bytes(80), prefix.ljust(167, b"\0"),
    )  # fmt: skip
    return b"%s%06o\0%s" % (block[:148], sum(block), block[155:])


def _size(size: int) -> bytes:
    return b"%011o\0" % size if size <= _OCTAL_11 else b"\x80" + size.to_bytes(11, "big")  # GNU's base 256


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE\\n`, where the length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def parse(block: bytes) -> Header:
    """A header block. Raises CopyError for one that is none."""
    told = _number(block[148:156])
    # The sum is over the block with blanks in its own place; some writers summed signed bytes, long ago.
    if told != sum(block) - sum(block[148:156]) + 256:
        raise CopyError("BAD_ARCHIVE", "a header of the archive is damaged, or this is no tar archive")
    name = _text(block[:100])
    if block[257:263] == b"ustar\0" and (prefix := _text(block[345:500])):
        name = prefix + b"/" + name
    return Header(
        name=name,
        mode=_number(block[100:108]) & 0o7777,
        uid=_number(block[108:116]),
        gid=_number(block[116:124]),
        size=_number(block[124:136]),
        mtime=_number(block[136:148], signed=True),
        kind=block[156:157],
        link=_text(block[157:257]),
    )


def notes_of(content: bytes) -> dict[bytes, bytes]:
    """The records of a pax header. Raises CopyError."""
    notes: dict[bytes, bytes] = {}
    at = 0
    while at < len(content):  # never sliced to its end: a hostile one is as long as it may be, in the shortest records
        digits, space, _ = content[at : at + DIGITS + 1].partition(b" ")
        begin, end = at + len(digits) + 1, at + (decimal(digits) if space else 0)
        if end <= begin or end > len(content) or content[end - 1 : end] != b"\n":
            raise bad()
        key, equals, value = content[begin : end - 1].partition(b"=")
        if not equals:
            raise bad()
        notes[key] = value
        at = end
    return notes


def decimal(digits: bytes) -> int:
    """A number as pax writes it. Raises CopyError."""
    if not digits.isdigit() or len(digits) > DIGITS:
        raise bad()
    return int(digits)


def seconds(text: bytes) -> int:
    """A pax time, in nanoseconds. Raises CopyError."""
    negative = text.startswith(b"-")
    whole, _, fraction = text[negative:].partition(b".")
    found = decimal(whole) * 1_000_000_000 + decimal(fraction[:9].ljust(9, b"0"))
    return -found if negative else found


def bad() -> CopyError:
    """A header that cannot be read."""
    return CopyError("BAD_ARCHIVE", "a header of the archive cannot be read")


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes, signed: bool = False) -> int:
    if field[0] >= 0x80:  # GNU's base 256, in two's complement
        found = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        if field[0] & 0x40:
            found -= 1 << (8 * len(field) - 1)
        if found < 0 and not signed:
            raise bad()
        return found
    digits = field.strip(b" \0")
    if not digits:
        return 0
    if not digits.isdigit():
        raise bad()
    try:
        return int(digits, 8)
    except ValueError:
        raise bad() from None
