"""The socket of the machine itself."""

import stat
from pathlib import Path
from typing import Any, cast

from capsuled.listening import bind_socket


class Server:
    """Makes the file as gRPC does, and notes who could reach it in that moment."""

    def __init__(self) -> None:
        self.modes: list[int] = []

    def add_insecure_port(self, address: str) -> None:
        path = Path(address.removeprefix("unix:"))
        assert not path.exists(), "what a dead daemon left is gone"
        self.modes.append(stat.S_IMODE(path.parent.stat().st_mode))
        path.touch(0o666)


def test_the_socket_is_nobody_elses_from_its_first_moment_on(tmp_path: Path) -> None:
    path, link, server = tmp_path / "run" / "capsule.sock", tmp_path / "capsule.sock", Server()
    path.parent.mkdir(mode=0o755)
    path.touch()
    bind_socket(cast(Any, server), path, link)
    assert server.modes == [0o700]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and link.readlink() == path
