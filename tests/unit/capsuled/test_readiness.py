"""An init system that waits is told once, at the kind of address that it gave; nobody who waits is no failure."""

import socket
from pathlib import Path

import pytest

from capsuled.readiness import tell_ready


@pytest.mark.parametrize("abstract", [False, True])
def test_who_waits_is_told(tmp_path: Path, abstract: bool) -> None:
    place = f"@{tmp_path}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waiting:
        waiting.bind("\0" + place[1:] if abstract else place)
        waiting.settimeout(10)
        tell_ready(place)
        assert waiting.recv(100) == b"READY=1"


def test_nobody_who_waits_is_no_failure(tmp_path: Path) -> None:
    tell_ready("")
    tell_ready(str(tmp_path / "gone"))
