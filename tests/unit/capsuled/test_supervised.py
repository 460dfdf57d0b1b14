"""A process that is kept running: how it ended is said with the last thing that it wrote."""

import asyncio
import contextlib
import logging
from pathlib import Path

import pytest

from capsuled.processes import supervise

WRITES_ONCE = "test -e {done} || echo 'cannot listen: in use' >&2; touch {done}; exit 3"


class Listener(logging.Handler):
    """Ends what it listens to once it has heard two messages."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self.child: asyncio.Future[None] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        if len(self.messages) == 2 and self.child is not None:
            self.child.cancel()


@pytest.fixture
def listener() -> Listener:
    return Listener()


def test_its_last_words_are_told_once(tmp_path: Path, listener: Listener) -> None:
    async def until_it_ended_twice() -> None:
        command = ["sh", "-c", WRITES_ONCE.format(done=tmp_path / "done")]
        listener.child = asyncio.ensure_future(supervise(command, tmp_path / "child.log"))
        with contextlib.suppress(asyncio.CancelledError):
            await listener.child

    (tmp_path / "child.log").write_text("of a run long before\n")
    log = logging.getLogger("capsuled.processes")
    log.addHandler(listener)
    try:
        asyncio.run(until_it_ended_twice())
    finally:
        log.removeHandler(listener)
    assert listener.messages == [
        "sh ended with 3 (cannot listen: in use); started again in 0.05 s",
        "sh ended with 3; started again in 0.10 s",
    ]
