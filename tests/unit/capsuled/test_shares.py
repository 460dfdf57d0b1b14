"""Who has to go when an address has more connections than its share."""

import asyncio
import os
import socket
from pathlib import Path

import grpc
import pytest

from capsuled.shares import PAUSE_S, Connected, Shares, connections, shut
from capsuled.tls import load_or_make_certificate, server_credentials
from tests.support.until import until, wait_until


def here(*inodes: int, host: str = "192.0.2.1") -> list[Connected]:
    return [Connected(inode, inode + 100, host) for inode in inodes]


def test_the_newest_of_an_address_go_and_nobody_elses() -> None:
    shares = Shares(each=2)
    assert shares.surplus(here(1, 2)) == []
    others = here(7, 8, host="192.0.2.2")
    assert shares.surplus([*here(1, 2, 3, 4), *others]) == here(3, 4)


def test_what_was_there_at_the_last_count_is_older_whatever_its_number() -> None:
    shares = Shares(each=2)
    assert shares.surplus(here(8, 9)) == []
    assert shares.surplus(here(3, 8, 9)) == here(3)


def test_a_place_is_free_once_its_connection_is_gone_and_a_number_that_comes_again_is_new() -> None:
    shares = Shares(each=2)
    assert shares.surplus(here(1, 2)) == []
    assert shares.surplus(here(2, 3)) == []
    assert shares.surplus(here(1, 2, 3)) == here(1)


def test_connections_are_those_to_the_port_and_a_shut_one_sees_its_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), 5) as mine, server.accept()[0] as theirs:
            (found,) = connections({port})
            assert found == Connected(os.fstat(theirs.fileno()).st_ino, theirs.fileno(), "127.0.0.1")
            mine.settimeout(0.05)
            shut(Connected(found.inode + 1, found.fd, found.host))  # its number is another's by now
            try:
                assert mine.recv(1), "it is still open"
            except TimeoutError:
                pass
            shut(found)
            mine.settimeout(5)
            assert mine.recv(1) == b""
            shut(found)


def test_a_number_that_became_another_files_while_it_was_looked_at_leaves_none_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "file").open("wb") as file:
        before = os.listdir("/proc/self/fd")
        with monkeypatch.context() as patched:
            patched.setattr(os, "readlink", lambda _: "socket:[1]")  # as it was a moment ago
            assert list(connections({1})) == []
        shut(Connected(1, file.fileno(), "192.0.2.1"))
        assert os.listdir("/proc/self/fd") == before


def test_whoever_comes_while_the_loop_is_busy_is_counted_all_the_same(tmp_path: Path) -> None:
    """Nobody has to be seen knocking: gRPC, which has let them in, says so."""

    async def story() -> None:
        shares = Shares(each=1)
        server = grpc.aio.server()
        credentials = server_credentials(load_or_make_certificate(tmp_path / "certificate", "capsule"), shares.came)
        port = server.add_secure_port("127.0.0.1:0", credentials)
        shares.ports = {port}
        await server.start()
        shares.start()
        with socket.create_connection(("127.0.0.1", port), 5) as first:
            await until(lambda: len(list(connections({port}))) == 1)
            await asyncio.sleep(2 * PAUSE_S)  # it is counted
            with socket.create_connection(("127.0.0.1", port), 5) as second:
                # The loop stands still until it is let in, too.
                wait_until(lambda: len(list(connections({port}))) == 2, "both are let in")
                assert await asyncio.to_thread(second.recv, 1) == b"", "beyond its share"
            first.settimeout(0.05)
            with pytest.raises(TimeoutError):
                first.recv(1)
        shares.stop()
        await server.stop(None)

    asyncio.run(story())


def test_what_came_before_it_began_is_counted_then() -> None:
    async def story(server: socket.socket) -> None:
        shares = Shares(each=0)
        shares.ports = {server.getsockname()[1]}
        with socket.create_connection(server.getsockname(), 5) as one, server.accept()[0]:
            shares.came()
            shares.start()
            assert await asyncio.to_thread(one.recv, 1) == b""
        shares.stop()
        shares.came()

    with socket.create_server(("127.0.0.1", 0)) as server:
        asyncio.run(story(server))
