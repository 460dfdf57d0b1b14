"""One daemon for all tests of the command line: it starts once. And one browser for those of a file that look at the
page, with a machine that they make up."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import Browser, browser
from tests.support.daemon import Daemon, daemon
from tests.unit.capsulectl.ui.told import Machine


@pytest.fixture(scope="session")
def capsule() -> Iterator[Daemon]:
    with daemon() as made:
        made.push_image()
        yield made


@pytest.fixture(scope="module")
def page() -> Iterator[Browser]:
    with browser() as made:
        made.window(1280, 900)
        yield made


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("CAPSULE_CONFIG_DIR", str(tmp_path))
    return Machine()
