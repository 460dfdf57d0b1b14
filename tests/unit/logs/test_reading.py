"""Reading a run's log back: nothing lost, nothing doubled, in the order it was seen, from wherever one asks."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsuled.logs.cutting import cut_front, cut_index, remove
from capsuled.logs.files import SUFFIXES, RunFiles, path_of
from capsuled.logs.holes import LINE_BYTES
from capsuled.logs.index import ERR, OUT, STREAMS
from capsuled.logs.reading import Piece, RunReader

START_MS = 1_700_000_000_000


class Log:
    """A run's log as a runtime writes it and a recorder sees it. `seen` is the model: (ms, stream, line)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for suffix in SUFFIXES.values():
            path_of(directory, 7, 1, suffix).touch()
        self.files = RunFiles(directory, 7, 1)
        self.now_ms = START_MS
        self.files.begin(self.now_ms, fresh=True)
        self.seen: list[tuple[int, int, bytes]] = []
        self._open = {OUT: b"", ERR: b""}

    def path(self, stream: int) -> Path:
        return self.files.paths[stream]

    def write(self, stream: int, data: bytes, wait_ms: int = 10) -> None:
        """Written, and seen at once."""
        self.now_ms += wait_ms
        with self.path(stream).open("ab") as file:
            file.write(data)
        self.files.grown(stream, self.now_ms)
        *lines, self._open[stream] = (self._open[stream] + data).split(b"\n")
        self.seen += [(self.now_ms, stream, line + b"\n") for line in lines]

    def lines(self, since: int = 0, until: int = 1 << 60) -> list[tuple[int, bytes]]:
        """What a reader should get of whole lines."""
        return [(stream, line) for at_ms, stream, line in self.seen if since <= at_ms <= until]

    def halves(self) -> list[tuple[int, bytes]]:
        return [(stream, half) for stream in STREAMS if (half := self._open[stream])]

    @contextmanager
    def reader(self, streams: tuple[int, ...] = STREAMS) -> Iterator[RunReader]:
        reader = RunReader(self.directory, 7, 1, streams)
        try:
            yield reader
        finally:
            reader.close()

    def read(self, timed: bool = False) -> list[tuple[int, bytes]]:
        with self.reader() as reader:
            return split(reader.pieces(timed=timed, final=True))


@contextmanager
def log() -> Iterator[Log]:
    with tempfile.TemporaryDirectory() as directory:
        made = Log(Path(directory))
        try:
            yield made
        finally:
            made.files.close()


def split(pieces: Iterator[Piece]) -> list[tuple[int, bytes]]:
    return [(piece.stream, line) for piece in pieces for line in piece.data.splitlines(keepends=True)]


Writes = st.lists(
    st.tuples(st.sampled_from(STREAMS), st.text("ab\n", min_size=1, max_size=12).map(str.encode), st.integers(0, 200)),
    max_size=60,
)


@settings(max_examples=60)
@given(Writes, st.integers(1, 20), st.booleans())
def test_a_log_is_read_whole_and_in_the_order_it_was_seen(
    writes: list[tuple[int, bytes, int]], every: int, timed: bool
) -> None:
    with log() as made, made.reader() as reader:
        got: list[tuple[int, bytes]] = []
        for number, write in enumerate(writes):
            made.write(*write)
            if number % every == 0 and timed:
                got += split(reader.pieces(timed=True, final=False))
        got += split(reader.pieces(timed=timed, final=True))
        assert got == made.lines() + made.halves()


@settings(max_examples=60)
@given(Writes, st.integers(1, 20))
def test_a_follower_gets_each_byte_once_and_half_lines_at_once(
    writes: list[tuple[int, bytes, int]], every: int
) -> None:
    with log() as made, made.reader() as reader:
        got = {OUT: b"", ERR: b""}
        for number, write in enumerate(writes):
            made.write(*write)
            if number % every == 0:
                for piece in reader.pieces(timed=False, final=False):
                    got[piece.stream] += piece.data
                assert all(got[stream] == made.path(stream).read_bytes() for stream in STREAMS)


@settings(max_examples=60)
@given(Writes, st.integers(0, 3_000), st.integers(0, 3_000))
def test_since_and_until_go_by_when_a_line_was_seen(
    writes: list[tuple[int, bytes, int]], after: int, length: int
) -> None:
    since, until = START_MS + after, START_MS + after + length
    with log() as made, made.reader() as reader:
        for write in writes:
            made.write(*write)
        reader.until(until)
        reader.since(since)
        assert split(reader.pieces(timed=False, final=True)) == made.lines(since, until)


@settings(max_examples=60)
@given(Writes, st.integers(1, 30))
def test_the_tail_is_the_newest_lines_of_both_streams(writes: list[tuple[int, bytes, int]], lines: int) -> None:
    with log() as made, made.reader() as reader:
        for write in writes:
            made.write(*write)
        reader.tail(lines)
        got = split(reader.pieces(timed=False, final=True))
        whole = [line for line in got if line[1].endswith(b"\n")]
        wanted = max(0, lines - len(made.halves()))
        assert whole == (made.lines()[-wanted:] if wanted else [])
        assert [line for line in got if line not in whole] == made.halves()


def test_times_are_those_of_the_line_ends_and_say_when_nobody_looked() -> None:
    with log() as made:
        made.write(OUT, b"one\ntw")
        made.write(ERR, b"err\n")
        made.write(OUT, b"o\n")
        made.files.close()
        with made.path(OUT).open("ab") as file:
            file.write(b"alone\n")
        made.files = RunFiles(made.directory, 7, 1)
        made.files.begin(START_MS + 60_000, fresh=False)
        made.now_ms = START_MS + 70_000
        made.write(OUT, b"again\n")
        with made.reader() as reader:
            got = [(piece.at_ms - START_MS, piece.late, piece.data) for piece in reader.pieces(timed=True, final=True)]
        assert got == [
            (10, False, b"one\n"),
            (20, False, b"err\n"),
            (30, False, b"two\n"),
            (60_000, True, b"alone\n"),
            (70_010, False, b"again\n"),
        ]


def test_a_hole_is_told_of_once_and_a_line_begins_behind_it() -> None:
    with log() as made:
        for number in range(3_000):
            made.write(OUT, b"line %06d\n" % number)
        made.write(ERR, b"kept\n")
        assert cut_front(made.path(OUT), 10_000) and cut_index(made.directory, 7, 1, 1 << 20)
        with made.reader() as reader:
            pieces = list(reader.pieces(timed=False, final=True))
        (gap,) = [piece for piece in pieces if piece.dropped]
        out = [line for stream, line in split(iter(pieces)) if stream == OUT]
        assert out == [b"line %06d\n" % number for number in range(3_000 - len(out), 3_000)] and len(out) > 500
        assert gap.dropped == 12 * (3_000 - len(out))
        assert split(iter(pieces))[-1] == (ERR, b"kept\n")


@pytest.mark.parametrize("other", [b"", b"warn\n"], ids=["one stream", "both"])
def test_a_tail_at_a_hole_begins_with_a_whole_line(other: bytes) -> None:
    with log() as made:
        made.write(ERR, other)
        for number in range(900):
            made.write(OUT, b"2026-12-01 request %04d ok\n" % number)
        assert cut_front(made.path(OUT), 5_000)
        with made.reader() as reader:
            whole = b"".join(one.data for one in reader.pieces(timed=False, final=True) if one.stream == OUT)
        assert whole.startswith(b"2026-")
        kept = whole.count(b"\n")
        for lines in (kept - 1, kept, kept + 1):
            with made.reader() as reader:
                left = reader.tail(lines)
                got = b"".join(one.data for one in reader.pieces(timed=False, final=True) if one.stream == OUT)
            assert got == b"".join(whole.splitlines(keepends=True)[-lines:])
            assert left == max(0, lines - kept - other.count(b"\n"))


def test_a_reader_that_is_overtaken_by_the_bound_is_told_what_it_missed() -> None:
    with log() as made, made.reader() as reader:
        made.write(OUT, b"first\n")
        assert split(reader.pieces(timed=False, final=False)) == [(OUT, b"first\n")]
        made.write(OUT, b"x" * 19 + b"\n" + b"y" * 100_000 + b"\n" + b"last\n")
        assert cut_front(made.path(OUT), 20_000)
        missed, *rest = reader.pieces(timed=False, final=False)
        assert missed.dropped > 80_000 and missed.data == b""
        assert missed.dropped + 6 + sum(len(piece.data) for piece in rest) == made.path(OUT).stat().st_size


def test_a_reader_that_was_closed_goes_on_where_it_was_and_tells_of_what_went_meanwhile() -> None:
    with log() as made, made.reader() as reader:
        made.write(OUT, b"first\n")
        since_ms = made.now_ms + 1
        made.write(ERR, b"second\n")
        until_ms = made.now_ms
        made.write(OUT, b"third\n")
        reader.until(until_ms)
        reader.since(since_ms)
        reader.close()
        made.write(OUT, b"fourth\n")
        assert split(reader.pieces(timed=False, final=True)) == [(ERR, b"second\n")]
    with log() as made, made.reader() as reader:
        made.write(OUT, b"first\n")
        made.write(OUT, b"second\n")
        made.write(ERR, b"third\n")
        reader.since(made.now_ms - 10)
        reader.close()
        remove(made.directory, 7, 1)
        gone = (
            Piece(OUT, b"", 9, late=True, dropped=7, whole=True),
            Piece(ERR, b"", 9, late=True, dropped=6, whole=True),
        )
        assert tuple(reader.pieces(timed=True, final=True, now_ms=9)) == gone
        assert not tuple(reader.pieces(timed=True, final=True, now_ms=10)), "it is told of once"


def test_a_very_long_line_and_binary_data_come_through_unchanged() -> None:
    data = bytes(range(256)) * 1_000 + b"z" * (3 * LINE_BYTES)
    with log() as made:
        made.write(OUT, data)
        made.write(ERR, b"err\n")
        made.write(OUT, data)
        with made.reader() as reader:
            got = [piece.data for piece in reader.pieces(timed=False, final=True) if piece.stream == OUT]
        assert b"".join(got) == data * 2
        with made.reader() as reader:
            reader.tail(1)
            assert b"".join(piece.data for piece in reader.pieces(timed=True, final=True))


def test_without_an_index_everything_is_there_and_its_times_are_unknown() -> None:
    with log() as made:
        made.write(OUT, b"a\n")
        made.write(ERR, b"b\n")
        path_of(made.directory, 7, 1, ".idx").unlink()
        with made.reader() as reader:
            reader.since(START_MS)
            pieces = list(reader.pieces(timed=True, final=True, now_ms=START_MS + 5))
        assert [(piece.data, piece.late, piece.at_ms) for piece in pieces] == [
            (b"a\n", True, START_MS + 5),
            (b"b\n", True, START_MS + 5),
        ]


def test_a_file_that_was_emptied_is_read_from_its_new_beginning() -> None:
    with log() as made, made.reader() as reader:
        made.write(OUT, b"old " * 1_000 + b"\n")
        list(reader.pieces(timed=False, final=False))
        made.files.empty(OUT)
        made.files.again(made.now_ms)
        made.write(OUT, b"new\n")
        got = split(reader.pieces(timed=False, final=False))
        assert b"4001 bytes" in got[0][1] and got[1:] == [(OUT, b"new\n")]
