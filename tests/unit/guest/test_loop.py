"""What PID 1 waits for, on this machine."""

import os
from pathlib import Path

import pytest

from guest.loop import Loop
from guest.pump import Pump


def test_a_child_is_reaped_and_its_end_told_once() -> None:
    loop = Loop()
    told: list[int] = []
    for code in (0, 7):
        pid = os.fork()
        if not pid:
            os._exit(code)
        loop.process(pid, told.append)
    killed = os.fork()
    if not killed:
        os.execv("/bin/sleep", ["sleep", "1000"])
    loop.process(killed, told.append)
    os.kill(killed, 15)
    while len(told) < 3:
        loop.turn()
    assert sorted(told) == [-15, 0, 7]
    with pytest.raises(ChildProcessError):
        os.waitpid(killed, os.WNOHANG)


def test_a_moment_comes_once_and_can_be_put_off_or_forgotten() -> None:
    loop = Loop()
    told: list[str] = []

    def end() -> None:
        told.append("end")
        loop.stop()

    loop.after("end", 1_000.0, lambda: told.append("late"))
    loop.after("end", 0.0, end)
    loop.after("other", 0.0, lambda: told.append("other"))
    loop.forget("other")
    loop.run()
    assert told == ["end"]


def test_what_is_written_goes_out_to_its_last_byte(tmp_path: Path) -> None:
    loop = Loop()
    port = os.open(tmp_path / "port", os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK)
    pump = Pump(loop, port)
    data = bytes(range(256)) * 4_000
    pid = os.fork()
    if not pid:
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(pump.writing, left) :]
        finally:
            os._exit(0)
    pump.begin()
    while not pump.done:
        loop.turn()
    os.waitpid(pid, 0)
    os.close(port)
    assert (tmp_path / "port").read_bytes() == data
