"""The page's places: who has not said the word keeps nobody out, and has one deadline for all that he says."""

import io
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from capsulectl.ui.reads import Reads
from capsulectl.ui.room import Heads, Room
from capsulectl.ui.server import CONNECTIONS, Server
from tests.unit.capsulectl.ui.told import Machine

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    with ExitStack() as open_:
        made = [socket.socketpair() for _ in range(4)]
        for one in made:
            for end in one:
                open_.enter_context(end)
        yield made


def is_closed(pair: Pair) -> bool:
    """As its other side sees it."""
    pair[1].setblocking(False)
    try:
        return pair[1].recv(1) == b""
    except BlockingIOError:
        return False


def test_a_newer_one_has_the_place_of_the_stranger_who_is_here_for_longest(pairs: list[Pair]) -> None:
    room = Room(2)
    assert [room.enter(one) for one, _ in pairs[:3]] == [True, True, True]
    assert [is_closed(one) for one in pairs] == [True, False, False, False]
    room.leave(pairs[0][0])  # which has no place any more: nobody else's is given away for it
    assert room.enter(pairs[3][0]) and [is_closed(one) for one in pairs] == [True, True, False, False]


def test_who_said_the_word_keeps_his_place_until_he_goes(pairs: list[Pair]) -> None:
    room = Room(2)
    for one, _ in pairs[:2]:
        assert room.enter(one)
        room.know(one)
    assert not room.enter(pairs[2][0]) and not any(map(is_closed, pairs))
    room.leave(pairs[0][0])
    assert room.enter(pairs[2][0]) and not any(map(is_closed, pairs))


def test_a_head_that_comes_byte_by_byte_has_no_more_time_than_another(pairs: list[Pair]) -> None:
    here, there = pairs[0]
    over = threading.Event()

    def dribble() -> None:
        while not over.wait(0.02):
            there.send(b"G")

    thread = threading.Thread(target=dribble)
    heads = Heads(here, 0.3)
    reader, begun_s = io.BufferedReader(heads), time.monotonic()
    thread.start()
    try:
        with pytest.raises(TimeoutError):
            reader.readline()
        assert time.monotonic() - begun_s < 5
        heads.begin()
        assert reader.read(1) == b"G"  # the next head has its own time
    finally:
        over.set()
        thread.join()


def test_strangers_who_take_every_place_do_not_keep_the_page_from_its_owner() -> None:
    server = Server(Reads(Machine()))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with ExitStack() as open_:
            for _ in range(CONNECTIONS):
                one = open_.enter_context(socket.create_connection(("127.0.0.1", server.server_port)))
                one.send(b"G")
            with urllib.request.urlopen(server.address, timeout=5) as answer:
                assert answer.status == 200
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
