"""Frames, however the stream is cut into pieces, and whatever is on it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel.frames import BYTES_MAX, CREDIT, CUT, DATA, FILLING, OPEN, RESET, BadFrame, Frame, Frames, packed

FRAME = st.builds(Frame, st.just(DATA), st.integers(1, 2**32 - 1), st.binary(min_size=1, max_size=300))


def taken(pieces: list[bytes]) -> list[Frame]:
    frames = Frames()
    return [frame for piece in pieces for frame in frames.of(piece)]


@given(st.lists(FRAME, max_size=20), st.lists(st.integers(1, 200)), st.integers(0, 40))
def test_what_is_packed_comes_out_in_whatever_pieces_it_arrives(sent: list[Frame], cuts: list[int], pads: int) -> None:
    stream = b"".join(bytes(pads) + packed(*frame) for frame in sent)
    pieces = []
    for cut in cuts:
        pieces.append(stream[:cut])
        stream = stream[cut:]
    assert taken([*pieces, stream]) == sent


@given(FRAME, st.integers(1, 400), st.lists(FRAME, max_size=3))
def test_a_frame_that_pads_filled_up_is_known_and_the_next_one_is_whole(
    first: Frame, kept: int, others: list[Frame]
) -> None:
    whole = packed(*first)
    cut = whole[: min(kept, len(whole) - 1)]
    found = taken([cut, FILLING, *(packed(*other) for other in others)])
    assert found == [CUT, *others]


def test_even_the_largest_frame_is_filled_up_and_a_whole_one_is_not_touched() -> None:
    largest = packed(DATA, 1, bytes(BYTES_MAX))
    opening = packed(OPEN, 7)
    assert taken([largest[:1], FILLING, opening]) == [CUT, Frame(OPEN, 7, b"")]
    assert taken([largest[:-1], FILLING, opening]) == [CUT, Frame(OPEN, 7, b"")]
    assert taken([largest, FILLING, opening]) == [Frame(DATA, 1, bytes(BYTES_MAX)), Frame(OPEN, 7, b"")]


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (b"\x09" + bytes(8), "no frame has the type 9"),
        (b"\x04\0\0\0\x01\0\x01\0\x01", "65,537 bytes; the most is 65,536"),
        (packed(DATA, 1, b"x")[:-1] + b"\xa4", "ends in 0xa4"),
        (packed(DATA, 1), "has 0 bytes"),
        (packed(CREDIT, 1, b"abc"), "has 3 bytes"),
        (packed(RESET, 0, bytes(15)), "has 15 bytes"),
        (packed(OPEN, 1, b"?"), "has 1 bytes"),
    ],
)
def test_what_is_no_frame_is_said(stream: bytes, words: str) -> None:
    with pytest.raises(BadFrame, match=words):
        taken([stream])


@given(st.lists(st.binary(max_size=200), max_size=50))
def test_bytes_by_chance_are_no_frame_or_are_held_to_a_bound(pieces: list[bytes]) -> None:
    frames = Frames()
    try:
        for piece in pieces:
            frames.of(piece)
    except BadFrame:
        return
    assert len(frames._held) <= len(FILLING) + 1


class _Counted(bytearray):
    """Counts the bytes that are copied out of it."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        self.copied += len(found) if isinstance(key, slice) else 0
        return found


def test_a_pad_between_any_two_frames_does_not_have_all_that_follows_copied() -> None:
    frames = Frames()
    frames._held = held = _Counted()
    count = 2_000
    assert len(frames.of((packed(OPEN, 1) + b"\0") * count)) == frames.pads == count
    assert held.copied <= count * 1_024


def test_lost_bytes_do_not_pass_for_others() -> None:
    sent = [Frame(DATA, 1, bytes([number]) * 100) for number in range(1, 10)]
    stream = b"".join(packed(*frame) for frame in sent) + packed(OPEN, 2) * 7_000
    for lost in (1, 7, 50, 99, 109, 111):
        for start in (0, 3, 12, 200):
            frames, found, known = Frames(), [], False
            try:
                for piece in (stream[:start], stream[start + lost :]):
                    found += frames.of(piece)
            except BadFrame:
                known = True
            assert known or CUT in found, (lost, start)
            assert all(frame in sent for frame in found if frame.kind == DATA)
