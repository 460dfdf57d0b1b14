"""What several tests of the daemon's parts begin with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from journal.sidelog import SECTORS, SideLog


@pytest.fixture
def side_log(tmp_path: Path) -> Iterator[SideLog]:
    made = SideLog(tmp_path / "side.log", most=SECTORS)
    yield made
    made.close()
