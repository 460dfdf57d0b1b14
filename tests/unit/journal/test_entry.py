"""One entry: what is stored can be read, what is malformed is named, and a body can go without its header."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.entry import (
    HASH_BYTES,
    SALT_BYTES,
    Actor,
    Header,
    MalformedEntry,
    check,
    encode_header,
    genesis,
    hash_body,
    pack,
    unpack,
)
from tests.support.entries import SALT, excised, ledger, value_of

HEADER = Header(
    7, 1_700_000_000_000_000_000, "boot-1", 5, "0.0.1", "slot_a", Actor("operator", "kid", "ada", "admin"), 6, 5,
    "call.accepted", 1, "must", bytes(HASH_BYTES), b"\xff" * HASH_BYTES,
)  # fmt: skip


def test_what_was_packed_is_unpacked() -> None:
    stored = unpack(pack(encode_header(HEADER), SALT, b"\x80"))
    assert (stored.header, stored.salt, stored.body) == (HEADER, SALT, b"\x80")
    assert not stored.excised


def test_the_hash_is_of_the_stored_bytes_and_never_of_a_new_encoding() -> None:
    # Another encoder may write the same number wider; what was signed is what stands there.
    wide = encode_header(HEADER).replace(b"\x9e\x07", b"\x9e\xcf" + (7).to_bytes(8, "big"), 1)
    stored = unpack(pack(wide, SALT, b"\x80"))
    assert stored.header == HEADER and stored.header_bytes == wide != encode_header(HEADER)
    assert stored.hash == hashlib.sha256(wide).digest()


def test_a_header_of_a_later_release_may_have_fields_at_its_end() -> None:
    longer = b"\xdc\x00\x0f" + encode_header(HEADER)[1:] + b"\xa3new"
    assert unpack(pack(longer, SALT, b"\x80")).header == HEADER


def test_an_excised_entry_keeps_its_header_and_its_place_in_the_chain() -> None:
    stored = ledger(1).entries[0]
    gone = excised(stored)
    assert gone.excised and not stored.excised
    assert (gone.header, gone.hash, gone.salt, gone.body) == (stored.header, stored.hash, b"", b"")
    assert check(gone, 1, stored.header.prev) is None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x00",
        b"\x00\x00",
        b"\x00\x05abc",
        b"\xff\xff" + b"x" * 100,
        pack(b"\xc1", SALT, b"\x80"),
        pack(encode_header(HEADER)[:-1], SALT, b"\x80"),
        pack(encode_header(HEADER), b"short", b""),
        pack(encode_header(HEADER), SALT, b""),
        pack(b"\x93\x01\x02\x03", SALT, b"\x80"),
    ],
    ids=["empty", "one-byte", "no-header", "cut", "too-long", "no-msgpack", "cut-header", "cut-salt", "no-body", "few"],
)
def test_what_is_no_entry_is_malformed(value: bytes) -> None:
    with pytest.raises(MalformedEntry):
        unpack(value)


@settings(max_examples=200)
@given(st.integers(0, 400), st.integers(1, 255))
def test_no_altered_byte_makes_anything_but_a_finding(at: int, mask: int) -> None:
    stored = ledger(2).entries[1]
    value = bytearray(value_of(stored))
    value[at % len(value)] ^= mask
    try:
        altered = unpack(bytes(value))
    except MalformedEntry:
        return
    # A header that still can be read is not the one that the next entry follows; a body is not its header's.
    assert altered.hash != stored.hash or check(altered, 2, stored.header.prev) is not None


@pytest.mark.parametrize(
    ("seq", "prev", "words"),
    [(2, None, "missing or out of order"), (1, bytes(32), "does not follow the one before it")],
)
def test_an_entry_in_another_place_does_not_fit(seq: int, prev: bytes | None, words: str) -> None:
    stored = ledger(1).entries[0]
    assert words in (check(stored, seq, stored.header.prev if prev is None else prev) or "")


def test_the_first_entry_is_bound_to_its_journal() -> None:
    assert genesis(b"one") != genesis(b"two") and len(genesis(b"one")) == HASH_BYTES
    stored = ledger(1).entries[0]
    assert check(stored, 1, genesis(b"another journal")) is not None


def test_the_salt_keeps_a_guess_of_the_body_from_being_tested() -> None:
    assert hash_body(SALT, b"body") != hash_body(bytes(SALT_BYTES), b"body")
