"""A hosted daemon behind a boot whose clock was a year ahead: the host's clock is right by now, and so is the client's."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from capsuled.layout import hosted
from journal.clock import SystemClock
from journal.entry import SYSTEM
from journal.environment import Environment, hold
from journal.events import DaemonStopped
from journal.sequencer import Draft
from journal.writer import Journal
from tests.support.daemon import Daemon, daemon
from tests.support.operators import Operator

pytestmark = pytest.mark.real
LISTEN = ("--listen", "127.0.0.1:0")
YEAR_NS = 365 * 86_400 * 10**9


async def _fast_entry(machine: Daemon) -> None:
    """As a daemon wrote it whose machine's clock was so far ahead."""
    directory = hosted(machine.state).journal
    with hold(directory):
        journal = Journal(Environment(directory, held=True), SystemClock(time.time_ns() + YEAR_NS))
        journal.append([Draft(DaemonStopped("asked to"), SYSTEM)])
        await journal.close()


def _started(machine: Daemon) -> tuple[str, list[str]]:
    """Where it listens, and its warnings of the clock."""
    machine.start(*LISTEN)
    info = machine.data("capsule", "info")
    return info["addresses"][0], [one for one in info.get("warnings", []) if "clock" in one]


def test_whoever_has_the_right_time_is_let_in_and_the_history_goes_on_in_it(tmp_path: Path) -> None:
    anna = Operator(tmp_path / "anna")
    with daemon(start=False) as machine:
        assert _started(machine)[1] == []
        machine.stop()
        asyncio.run(_fast_entry(machine))
        address, (warning,) = _started(machine)
        assert "the journal has an entry from" in warning and "times in the history run back once" in warning
        anna.good("adopt", address, "--yes", "--operator", "anna")
        assert anna.data("whoami")["role"] == "admin"
        anna.good("volume", "create", "data", "16Mi")
        (made,) = machine.history("--type", "volume.applied")
        assert abs(int(made["atUnixNs"]) / 1e9 - time.time()) < 300
        (turned,) = machine.history("--type", "clock.stepped")
        assert int(turned["seq"]) < int(made["seq"])
        at = datetime.fromtimestamp(int(made["atUnixNs"]) / 1e9 + 1, UTC).isoformat()
        assert "data" in machine.good("volume", "list", "--at", at), "moments are found on either side"
        machine.stop()
        address, warnings = _started(machine)
        assert warnings == [], "what was written since is behind it"
        anna.good("adopt", address, "--yes")
        assert anna.data("whoami")["role"] == "admin"
