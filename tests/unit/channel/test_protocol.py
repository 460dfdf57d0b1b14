"""Both ends of a channel against each other, a stream that is cut anywhere between them, and ends that do not keep to it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channel import frames
from channel.frames import CLOSE, CREDIT, DATA, OPEN, READY, RESET, packed
from channel.protocol import (
    CONNECTIONS_MAX,
    CREDIT_BYTES,
    SKIPPED_MAX,
    Broken,
    Data,
    Ended,
    Event,
    Gone,
    GuestChannel,
    HostChannel,
    Opened,
    Ready,
    Room,
)

NONCE = b"sixteen bytes it"


def moved(source: HostChannel | GuestChannel, target: HostChannel | GuestChannel, most: int = 1 << 30) -> list[Event]:
    """What comes of it when `most` bytes at most go over."""
    data = bytes(source.outgoing[:most])
    del source.outgoing[:most]
    return target.receive(data)


def begun() -> tuple[HostChannel, GuestChannel]:
    host, guest = HostChannel(NONCE), GuestChannel()
    assert moved(host, guest) == [Ready()]
    assert moved(guest, host) == [Ready()]
    return host, guest


def opened(host: HostChannel, guest: GuestChannel) -> int:
    number = host.open()
    assert number is not None and moved(host, guest) == [Opened(number)]
    return number


def test_bytes_go_both_ways_and_each_half_is_closed_by_itself() -> None:
    host, guest = begun()
    one, two = opened(host, guest), opened(host, guest)
    host.send(one, b"question")
    host.end(one)
    host.send(two, b"other")
    assert moved(host, guest) == [Data(one, b"question"), Ended(one), Data(two, b"other")]
    assert guest.room(one) == CREDIT_BYTES and host.room(one) == 0
    guest.send(one, b"answer")
    assert moved(guest, host) == [Data(one, b"answer")]
    guest.end(one)
    guest.end(one)
    assert moved(guest, host) == [Ended(one)]
    assert host.connections == guest.connections == {two}


def test_no_more_is_sent_than_is_taken_away_at_the_other_end() -> None:
    host, guest = begun()
    one = opened(host, guest)
    host.send(one, bytes(CREDIT_BYTES))
    assert host.room(one) == 0
    arrived = moved(host, guest)
    assert sum(len(event.content) for event in arrived if isinstance(event, Data)) == CREDIT_BYTES
    assert not guest.outgoing, "nothing was taken yet"
    guest.took(one, 10)
    assert not guest.outgoing, "ten bytes are not worth a frame"
    guest.took(one, CREDIT_BYTES - 10)
    assert moved(guest, host) == [Room(one)]
    assert host.room(one) == CREDIT_BYTES


def test_credit_that_crosses_the_end_of_its_connection_is_nothing() -> None:
    host, guest = begun()
    one = opened(host, guest)
    host.send(one, bytes(CREDIT_BYTES))
    moved(host, guest)
    guest.end(one)
    guest.took(one, CREDIT_BYTES)
    assert guest.receive(packed(CLOSE, one)) == [Ended(one)]
    host.end(one)
    assert moved(guest, host) == [Ended(one)]
    assert not host.connections and not guest.connections


def test_there_are_so_many_connections_and_not_one_more() -> None:
    host, guest = begun()
    for _ in range(CONNECTIONS_MAX):
        opened(host, guest)
    assert host.open() is None
    with pytest.raises(Broken):
        guest.receive(packed(OPEN, CONNECTIONS_MAX + 1))


SOME = st.integers(1, 500)


@given(SOME, SOME, SOME, SOME, st.integers(1, 70_000))
def test_a_host_that_comes_into_whatever_was_cut_begins_anew(
    sent: int, answered: int, cut: int, unheard: int, piece: int
) -> None:
    """What the guest was sending may be cut, too, and arrives before READY. No PAD that filled a frame up gets through."""
    host, guest = begun()
    number = opened(host, guest)
    host.send(number, b"\x07" * sent)
    guest.send(number, b"\x05" * answered)
    for event in moved(host, guest, cut):
        assert event == Data(number, b"\x07" * sent)
    of_before = bytes(guest.outgoing)[unheard:]
    late = HostChannel(b"another nonce, 1")
    heard: list[Event] = []
    while late.outgoing:
        heard += moved(late, guest, piece)
    assert heard == [Gone(), Ready()]
    stream = of_before + bytes(guest.outgoing)
    guest.outgoing.clear()
    events = [event for at in range(0, len(stream), piece) for event in late.receive(stream[at : at + piece])]
    assert events == [Ready()]
    again = opened(late, guest)
    late.send(again, b"x")
    assert moved(late, guest) == [Data(again, b"x")]


def test_what_was_said_for_a_host_of_before_is_not_answered_to_the_next() -> None:
    _, guest = begun()
    moved(HostChannel(b"nobody reads it "), guest)
    late = HostChannel(b"another nonce, 2")
    assert moved(guest, late) == [], "READY with another's nonce"
    assert not late.live
    assert Ready() in moved(late, guest) and moved(guest, late) == [Ready()]


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (packed(DATA, 9, b"x"), "connection 9 is not open"),
        (packed(CLOSE, 9), "connection 9 is not open"),
        (packed(CREDIT, 9, b"\0\0\0\x01"), "connection 9 is not open"),
        (packed(CREDIT, 0, b"\0\0\0\x01"), "connection 0 is not open"),
        (packed(CREDIT, 1, b"\0\0\0\x01"), "never were owed"),
        (packed(CREDIT, 1, b"\0\0\0\0"), "never were owed"),
        (packed(CLOSE, 1) * 2, "after its end"),
        (packed(CLOSE, 1) + packed(DATA, 1, b"x"), "after its end"),
        (packed(DATA, 1, bytes(1 << 16)) * 5, "65,536 bytes more than connection 1 may send"),
        (packed(OPEN, 2), "type 3, which no guest sends"),
        (packed(READY, 0, NONCE), "type 2, which no guest sends"),
        (packed(RESET, 0, NONCE), "type 1, which no guest sends"),
        (packed(DATA, 1, b"x")[:-1] + frames.FILLING, "PADs"),
        (b"\0", "PADs"),
        (b"\xff" * 9, "no frame has the type 255"),
    ],
)
def test_a_guest_that_does_not_keep_to_it_ends_its_channel(stream: bytes, words: str) -> None:
    host, guest = begun()
    opened(host, guest)
    with pytest.raises(Broken, match=words):
        host.receive(stream)


def test_a_guest_that_never_gets_to_the_point_is_not_listened_to_for_ever() -> None:
    host = HostChannel(NONCE)
    with pytest.raises(Broken, match="READY was not among them"):
        for _ in range(SKIPPED_MAX // 65_536 + 2):
            assert host.receive(bytes(65_536)) == []
            assert len(host._before) < 100


def test_a_guest_that_hears_nonsense_says_so() -> None:
    for stream in (packed(READY, 0, NONCE), packed(OPEN, 1) * 2, packed(DATA, 5, b"x"), b"\xee" * 20):
        _, guest = begun()
        with pytest.raises(Broken):
            guest.receive(stream)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "send", "reply", "host end", "guest end", "take", "taken", "over", "back"]),
        st.integers(0, 3),
        st.integers(1, 100_000),
    ),
    max_size=60,
)


@settings(max_examples=150)
@given(STEPS)
def test_whatever_both_do_everything_arrives_once_in_order_and_within_its_credit(
    steps: list[tuple[str, int, int]],
) -> None:
    host, guest = begun()
    sent: dict[tuple[str, int], bytearray] = {}
    got: dict[tuple[str, int], bytearray] = {}
    untaken: dict[tuple[str, int], int] = {}
    numbers: list[int] = []

    def note(way: str, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Data):
                key = (way, event.connection)
                got.setdefault(key, bytearray()).extend(event.content)
                untaken[key] = untaken.get(key, 0) + len(event.content)
                assert untaken[key] <= CREDIT_BYTES

    def put(way: str, channel: HostChannel | GuestChannel, number: int, count: int) -> None:
        count = min(count, channel.room(number))
        if count:
            data = bytes([len(sent) % 250 + 1]) * count
            channel.send(number, data)
            sent.setdefault((way, number), bytearray()).extend(data)

    for word, which, count in steps:
        number = numbers[which % len(numbers)] if numbers else 0
        match word:
            case "open" if (new := host.open()) is not None:
                numbers.append(new)
            case "send":
                put("in", host, number, count)
            case "reply":
                put("out", guest, number, count)
            case "host end":
                host.end(number)
            case "guest end":
                guest.end(number)
            case "take" | "taken":
                way, channel = ("in", guest) if word == "take" else ("out", host)
                taken = min(count, untaken.get((way, number), 0))
                untaken[(way, number)] = untaken.get((way, number), 0) - taken
                channel.took(number, taken)
            case "over":
                note("in", moved(host, guest, count))
            case "back":
                note("out", moved(guest, host, count))
    note("in", moved(host, guest))
    note("out", moved(guest, host))
    note("in", moved(host, guest))
    assert sent == got
    assert host.connections == guest.connections
