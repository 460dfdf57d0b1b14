"""The index's format: what is written is read again, whatever was torn off or lost in front."""

from hypothesis import given
from hypothesis import strategies as st

from capsuled.logs.index import BLOCK_BYTES, ERR, OUT, Cursor, Mark, Writer, droppable, header_of

Growth = st.tuples(st.integers(-5_000, 100_000), st.sampled_from([OUT, ERR]), st.integers(1, 1 << 40))


def written(writer: Writer, content: bytearray, marks: list[Mark]) -> None:
    for mark in marks:
        data = writer.add(mark.at_ms, mark.stream, mark.end)
        content[writer.position - len(data) :] = data
    assert len(content) == writer.position


def grown(steps: list[tuple[int, int, int]], at_ms: int = 1_700_000_000_000, out: int = 0, err: int = 0) -> list[Mark]:
    ends, marks = {OUT: out, ERR: err}, []
    for wait_ms, stream, growth in steps:
        at_ms += wait_ms
        ends[stream] += growth
        marks.append(Mark(at_ms, stream, ends[stream]))
    return marks


@given(st.lists(Growth, max_size=2_000), st.integers(1, 5_000))
def test_marks_come_back_as_they_went_in_however_they_are_read(steps: list[tuple[int, int, int]], piece: int) -> None:
    marks, content = grown(steps), bytearray()
    written(Writer(0, 1_700_000_000_000, 0, 0), content, marks)
    cursor, reach = Cursor(), 0
    read: list[Mark] = []
    while cursor.position < len(content) and reach < len(content):
        reach = min(len(content), max(reach, cursor.position) + piece)
        read += cursor.feed(bytes(content[cursor.position : reach]))
    assert read == marks


@given(st.lists(Growth, min_size=1, max_size=50), st.lists(Growth, min_size=1, max_size=50))
def test_what_was_written_while_nobody_looked_is_late(
    first: list[tuple[int, int, int]], then: list[tuple[int, int, int]]
) -> None:
    content = bytearray()
    before = grown(first)
    written(Writer(0, before[0].at_ms, 0, 0), content, before)
    out = max((mark.end for mark in before if mark.stream == OUT), default=0)
    err = max((mark.end for mark in before if mark.stream == ERR), default=0)
    again_ms = before[-1].at_ms + 60_000
    writer = Writer(len(content), again_ms, out + 10, err)
    start = writer.position
    content.extend(bytes(start - len(content)))
    content += writer.opening()
    after = grown(then, again_ms, out + 10, err)
    written(writer, content, after)
    assert list(Cursor().feed(bytes(content))) == [*before, Mark(again_ms, OUT, out + 10, late=True), *after]


def test_a_lost_front_makes_what_it_told_of_late_and_nothing_else() -> None:
    content, marks = bytearray(), grown([(50, OUT, 100)] * 5_000)
    written(Writer(0, 1_700_000_000_000, 0, 0), content, marks)
    blocks = len(content) // BLOCK_BYTES
    assert blocks >= 3
    header = header_of(bytes(content[2 * BLOCK_BYTES :]))
    assert header is not None
    content[: 2 * BLOCK_BYTES] = bytes(2 * BLOCK_BYTES)
    read = list(Cursor().feed(bytes(content)))
    assert read[0] == Mark(header.at_ms, OUT, header.out, late=True)
    assert read[1:] == [mark for mark in marks if mark.end > header.out]


def test_a_damaged_block_costs_its_own_times_only() -> None:
    content, marks = bytearray(), grown([(50, OUT, 100)] * 5_000)
    written(Writer(0, 1_700_000_000_000, 0, 0), content, marks)
    content[BLOCK_BYTES + 9] ^= 1
    read = list(Cursor().feed(bytes(content)))
    after = header_of(bytes(content[2 * BLOCK_BYTES :]))
    assert after is not None
    late = [mark for mark in read if mark.late]
    assert late == [Mark(after.at_ms, OUT, after.out, late=True)]
    assert read[-1] == marks[-1] and read[0] == marks[0]


def test_half_a_mark_at_the_end_is_no_mark() -> None:
    content, marks = bytearray(), grown([(50, OUT, 1 << 30)] * 3)
    written(Writer(0, 1_700_000_000_000, 0, 0), content, marks)
    for cut in range(1, len(content) - 40):
        read = list(Cursor().feed(bytes(content[:-cut])))
        assert read == marks[: len(read)]


def test_a_block_may_go_once_all_it_tells_of_is_gone() -> None:
    content = bytearray()
    written(Writer(0, 1_700_000_000_000, 0, 0), content, grown([(50, OUT, 100)] * 5_000))
    headers = [header_of(bytes(content[at:])) for at in range(0, len(content), BLOCK_BYTES)]
    second = headers[1]
    assert second is not None
    assert droppable(headers, second.out - 1, 0, keep_blocks=1_000) == 0
    assert droppable(headers, second.out, 0, keep_blocks=1_000) == 1
    assert droppable(headers, 0, 0, keep_blocks=2) == len(headers) - 2
