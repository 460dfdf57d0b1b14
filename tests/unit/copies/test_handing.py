"""A pipe that is handed over: to whom, and what comes of it when it is not."""

import os
import socket
import threading
from pathlib import Path

from copies.handing import give, take
from tests.support.everybodys import open_to_everybody


def offer(path: Path, given: list[bool]) -> threading.Thread:
    """A socket that gives the first who comes the reading end of a pipe with a word in it."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    path.chmod(0o666)

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            given.append(give(connection, reading))
        os.write(writing, b"word")
        os.close(reading)
        os.close(writing)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_who_takes_it_has_it_open_to_wait_for_and_leaves_it_to_nobody_he_starts(tmp_path: Path) -> None:
    given: list[bool] = []
    serving = offer(tmp_path / "there", given)
    taken = take(str(tmp_path / "there"))
    serving.join()
    assert taken is not None and given == [True]
    assert os.get_blocking(taken) and not os.get_inheritable(taken)
    assert os.read(taken, 10) == b"word" and os.read(taken, 10) == b""
    os.close(taken)


def test_somebody_else_is_not_given_it(tmp_path: Path) -> None:
    """However he got to the socket."""
    open_to_everybody(tmp_path)
    given: list[bool] = []
    serving = offer(tmp_path / "there", given)
    child = os.fork()
    if child == 0:
        taken = -1
        try:
            os.setgid(65_534)
            os.setuid(65_534)
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(tmp_path / "there"))
                taken = len(socket.recv_fds(connection, 1, 1)[1])
        finally:
            os._exit(taken & 0xFF)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    serving.join()
    assert given == [False]


def test_nothing_waits_there(tmp_path: Path) -> None:
    assert take(str(tmp_path / "none")) is None
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "deaf"))
        assert take(str(tmp_path / "deaf")) is None
    assert take("/" + "x" * 200) is None
