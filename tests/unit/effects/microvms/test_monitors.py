"""A monitor that lives, followed by what was written down of it."""

import asyncio
import subprocess
from pathlib import Path

from effects.microvms.monitor import Monitor, Monitors, identity_of
from effects.microvms.places import Key, Places, RunRecord

KEY = Key("web", 7, 1)


def test_one_whose_end_record_another_hand_removed_is_adopted_and_its_end_heard(tmp_path: Path) -> None:
    files = Places(tmp_path / "state", tmp_path / "run", tmp_path / "logs").of(KEY)
    told: list[Monitor] = []

    async def main() -> None:
        process = subprocess.Popen(["sleep", "1000"])
        files.begin(RunRecord())
        files.remember(identity_of(process.pid, "boot"))
        monitors = Monitors(lambda _: process.wait(), told.append, told.append)
        assert monitors.adopt(KEY, files, "another boot") is None
        monitor = monitors.adopt(KEY, files, "boot")
        assert monitor is not None and monitors.known() == (monitor,) and not monitor.started
        monitor.kill("silent", "a minute")
        assert await monitor.ended(60) and told == [monitor]
        assert (monitor.status, monitor.why) == (-9, ("silent", "a minute")) and monitors.known() == ()
        monitors.close()

    asyncio.run(main())
