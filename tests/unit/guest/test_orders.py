"""What PID 1 does for the service, as far as it needs no machine of its own: signals, ends, and a service that has gone."""

import errno
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guest import beside
from guest.loop import Loop
from guest.orders import Lost, Orders
from guest.run import Run
from tests.support.runs_in_guests import described


class Service:
    """The service's end of the socket, and a payload that says `ready` once it ignores TERM."""

    def __init__(self) -> None:
        self.loop = Loop()
        ours, self.socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        script = "trap '' TERM; trap 'exit 4' USR1; echo ready; while :; do sleep 0.05; done"
        self.payload = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)
        assert self.payload.stdout is not None and self.payload.stdout.readline() == b"ready\n"
        self.codes: list[int] = []
        self.loop.process(self.payload.pid, self._ended)
        self.orders = Orders(self.loop, Run(described()), self.payload.pid, ours)

    def _ended(self, code: int) -> None:
        self.codes.append(code)
        self.loop.stop()

    def say(self, **order: Any) -> None:
        self.socket.send(json.dumps(order).encode())


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.socket.close()
    made.payload.returncode = 0  # the loop has reaped it
    assert made.payload.stdout is not None
    made.payload.stdout.close()


def test_a_payload_that_does_not_end_is_killed_after_its_grace(service: Service) -> None:
    service.say(do="stop", signal=0, grace_ms=200)
    service.loop.run()
    assert service.codes == [-9]
    assert json.loads(service.socket.recv(1_024)) == {"stopping": True}


def test_a_payload_that_ends_when_asked_ends_with_its_own_code(service: Service) -> None:
    service.say(do="stop", signal=10, grace_ms=600_000)
    service.loop.run()
    assert service.codes == [4]


def test_a_shutdown_asks_nobody(service: Service) -> None:
    service.say(do="shutdown")
    service.loop.run()
    assert service.codes == [-9]


def test_after_the_payloads_end_what_is_beside_it_has_time_to_leave_nothing_half_done(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "while [ ! -e told ]; do sleep 0.01; done; echo > left"
    copy = subprocess.Popen(["sh", "-c", script], cwd=tmp_path)
    monkeypatch.setattr(beside, "copy", lambda first, fds: copy.pid)
    service.say(do="copy", id=1)
    service.loop.turn()
    service.say(do="shutdown")
    service.loop.run()
    assert "started" in json.loads(service.socket.recv(1_024))

    def asked() -> None:
        if service.socket.recv(1_024) == b'{"over": true}':
            told(tmp_path)

    leaving = threading.Thread(target=asked)
    leaving.start()
    service.orders.close()
    leaving.join()
    assert (tmp_path / "left").exists()
    copy.returncode = 0  # the loop has reaped it


def told(directory: Path) -> None:
    (directory / "told").touch()


def test_a_process_that_never_was_is_gone_when_it_is_to_end(service: Service) -> None:
    service.say(do="end", id=5)
    service.loop.turn()
    assert json.loads(service.socket.recv(1_024)) == {"gone": 5}
    service.say(do="shutdown")
    service.loop.run()


def test_a_copy_that_no_process_can_be_had_for_ends_and_nothing_else(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    reading, report = os.pipe()
    with monkeypatch.context() as full:
        full.setattr(os, "fork", fork)
        socket.send_fds(service.socket, [b'{"do": "copy", "id": 1}'], [0, 1, report])
        service.loop.turn()
    os.close(report)
    assert os.read(reading, 1_024).startswith(b"COPY_FAILED\0") and not os.read(reading, 1_024)
    os.close(reading)
    service.say(do="end", id=1)
    service.loop.turn()
    assert json.loads(service.socket.recv(1_024)) == {"gone": 1}
    service.say(do="shutdown")
    service.loop.run()


def test_a_service_that_has_gone_is_a_fault(service: Service) -> None:
    service.socket.shutdown(socket.SHUT_RDWR)
    with pytest.raises(Lost):
        service.loop.run()
    os.kill(service.payload.pid, 9)
    service.payload.wait()
