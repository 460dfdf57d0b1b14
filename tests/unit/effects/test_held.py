"""What a virtual machine has open is held until the last process with that file is gone, whoever opened it."""

import os
import subprocess
from pathlib import Path

import pytest

from effects import held


def test_it_is_held_as_long_as_any_process_has_the_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    assert not held.is_held(path)
    path.touch()
    assert not held.is_held(path)
    fd = held.opened(path, shared=False)
    machine = subprocess.Popen(["sleep", "100"], pass_fds=(fd,))
    try:
        os.close(fd)
        assert held.is_held(path)
        for shared in (True, False):
            with pytest.raises(BlockingIOError, match="a virtual machine"):
                held.opened(path, shared=shared)
    finally:
        machine.kill()
        machine.wait()
    assert not held.is_held(path)


def test_readers_hold_it_together_and_against_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.touch()
    one, other = held.opened(path, shared=True), held.opened(path, shared=True)
    os.close(one)
    assert held.is_held(path)
    with pytest.raises(BlockingIOError):
        held.opened(path, shared=False)
    os.close(other)
    os.close(held.opened(path, shared=False))
