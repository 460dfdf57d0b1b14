"""What `make install` lays down."""

import configparser
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from image import house, python
from tools import service


@pytest.fixture
def roots_own() -> Iterator[None]:
    before = os.umask(0o077)  # noqa: TID251 - nothing else runs meanwhile
    yield
    os.umask(before)  # noqa: TID251


@pytest.mark.usefixtures("roots_own")
def test_everybody_may_run_the_commands_whatever_roots_umask_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house, "packages", lambda: ("init",))
    monkeypatch.setattr(python, "place", lambda site: (site / "msgspec.py").touch())
    monkeypatch.setattr(service, "GUEST", Path("no such directory"))
    prefix = tmp_path / "capsule.new"
    service._lay_down(prefix)
    there = [prefix, *(one for one in prefix.rglob("*") if not one.is_symlink())]
    found = {str(one.relative_to(prefix)): one.stat().st_mode & 0o777 for one in there}
    assert found["."] == found["bin"] == found["bin/capsulectl"] == found["house/init"] == 0o755
    assert found["house/init/main.py"] == found["house/requirements.lock"] == 0o644
    assert set(found.values()) == {0o755, 0o644}


def test_the_service_waits_for_the_disk_under_the_state() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(service.ROOT / "tools/capsuled.service")
    assert unit["Unit"]["RequiresMountsFor"] == str(service.STATE)
    assert {"local-fs.target", "remote-fs.target"} <= set(unit["Unit"]["After"].split())
