"""One daemon for all tests of the command line: it starts once."""

from collections.abc import Iterator

import pytest

from tests.support.daemon import Daemon, daemon


@pytest.fixture(scope="session")
def capsule() -> Iterator[Daemon]:
    with daemon() as made:
        made.push_image()
        yield made
