"""What `make qemu` says before there is a machine."""

import socket

import pytest

from tools.qemu import free_port, refuse_taken


def test_a_port_that_another_program_has_is_told_with_one_to_take_instead() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SystemExit, match=rf"^port {port} is taken \(.*\): make qemu PORT={port + 1}$"):
            refuse_taken(port)


def test_a_port_that_nobody_has_stays_free_for_the_machine() -> None:
    port = free_port()
    refuse_taken(port)
    refuse_taken(port)
