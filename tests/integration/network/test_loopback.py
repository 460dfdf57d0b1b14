"""The loopback interface of a machine that has just begun: the kernel makes it down, and on the operating system nobody
but the daemon brings it up."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

_ON_A_NEW_NETWORK = ("unshare", "--net", "--mount", "--kill-child", "--fork", "sh", "-ec")
_KEPT = """
import asyncio
import sys
from pathlib import Path
from capsuled.boot.uplink import Place, Uplink

async def main(place):
    uplink = Uplink(Place(place / "network", place / "remembered", place / "log"), lambda *_: None)
    keeping = asyncio.create_task(uplink.run("attic"))
    while not int(Path("/sys/class/net/lo/flags").read_text(), 16) & 1:
        await asyncio.sleep(0.05)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)

asyncio.run(main(Path(sys.argv[1])))
"""


def test_whoever_keeps_the_uplink_brings_it_up(tmp_path: Path) -> None:
    script = 'mount -t tmpfs tmpfs /run; mount -t sysfs sysfs /sys; cat /sys/class/net/lo/flags; exec "$0" "$@"'
    kept = [*_ON_A_NEW_NETWORK, script, sys.executable, "-c", _KEPT, str(tmp_path)]
    done = subprocess.run(kept, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (0, "0x8\n"), f"it was not down, or did not come up: {done.stderr}"
