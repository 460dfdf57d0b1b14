"""Ways in which it goes wrong: each is played on a real machine, and what is said is what stands in the record."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.mishaps.stage import scene, stage
from tests.cli.mishaps.table import MISHAPS, Mishap, recorded
from tests.support.daemon import Daemon
from tests.support.site import Site

pytestmark = pytest.mark.real


NEEDED = {
    "image-unknown": "docker-registry",
    "wrong-password": "docker-registry",
    "certificate-of-a-stranger": "docker-registry",
    "monitor-killed": "qemu-system-x86_64",
    "guest-hung": "qemu-system-x86_64",
}


def needing(mishap: Mishap) -> Any:
    program = NEEDED.get(mishap.name)
    return pytest.param(mishap, id=mishap.name, marks=[pytest.mark.needs(program)] if program else [])


@pytest.fixture(scope="module")
def played_on() -> Iterator[tuple[Site, Daemon]]:
    with scene() as made:
        yield made


@pytest.mark.parametrize("mishap", [needing(one) for one in MISHAPS])
def test_who_has_a_mishap_is_told_what_is_wrong_and_what_to_do(
    mishap: Mishap, played_on: tuple[Site, Daemon], tmp_path: Path
) -> None:
    with stage(*played_on, tmp_path) as made:
        mishap.play(made)
        told = mishap.title + made.told()
    assert told == recorded(mishap.name).read_text()


def test_every_record_is_of_a_mishap_and_shows_none_of_our_insides() -> None:
    names = [one.name for one in MISHAPS]
    assert len(names) == len(set(names)) >= 60
    files = sorted(recorded("x").parent.iterdir())
    assert sorted(file.stem for file in files) == sorted(names)
    for file in files:
        text = file.read_text()
        assert not [word for word in ("Traceback", "Errno", "\x1b", "StatusCode", "capsule.v1") if word in text], file
