"""History by call: each entry below the one that led to it."""

from capsule.v1 import history_pb2 as pb
from capsulectl.history import by_call


def entry(seq: int, cause: int = 0, stream: str = "facts") -> pb.HistoryEntry:
    return pb.HistoryEntry(seq=seq, cause=cause, stream=stream)


def shown(*entries: pb.HistoryEntry) -> list[tuple[int, int]]:
    return [(depth, one.seq) for depth, one in by_call(entries)]


def test_what_a_call_led_to_stands_below_it_whatever_came_between() -> None:
    assert shown(entry(1), entry(2), entry(3, 1), entry(4, 3), entry(5, 2), entry(6, 1)) == [
        (0, 1),
        (1, 3),
        (2, 4),
        (1, 6),
        (0, 2),
        (1, 5),
    ]


def test_what_came_of_an_entry_that_is_not_shown_stands_by_itself() -> None:
    assert shown(entry(7, 3), entry(8, 7)) == [(0, 7), (1, 8)]


def test_reads_have_numbers_of_their_own() -> None:
    assert shown(entry(1), entry(1, stream="audit"), entry(2, 1)) == [(0, 1), (1, 2), (0, 1)]
