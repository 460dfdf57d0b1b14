"""Updates with one thing wrong, made of what the built one was made of: its base, our code, its initramfs. What microVMs
boot is left out: nobody starts one, and a push takes as long as there is to push.

What goes wrong does so at a moment of its own in each boot.
"""

import hashlib
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from image import base, boot, bundle, house, initramfs
from journal.evidence import Cause
from tests.support.newer import NEXT

WINDOW_S = 120
"""For a system that is to be judged by its gate: its API has to answer, and what it runs to be started, before that."""

_DAEMON = """
def go_wrong():
    import os, random, shutil, sys, threading
    if "--os" not in sys.argv or "--halt" in sys.argv:
        return
{what}

go_wrong()
main()
"""
_LATER = """
    def wrong():
{what}
    threading.Timer(random.uniform({earliest}, {latest}), wrong).start()
"""
_CGROUP = "/sys/fs/cgroup/frozen"


class Release(msgspec.Struct, frozen=True):
    """`cause`: what is wrong with it, as it is to be found out; none where nothing is. `daemon`: what its daemon does
    besides, in Python; `init` its PID 1; `script` its initramfs, in the shell; `uplink` what is run for DHCP."""

    name: str
    cause: Cause | None = None
    daemon: str = ""
    init: str = ""
    script: str = ""
    uplink: str = ""
    window_s: int = 600

    @property
    def commit(self) -> str:
        """By which it is told from the others."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:7]


def _indented(text: str, by: int) -> str:
    return "".join(f"{' ' * by}{line}\n" for line in text.strip().splitlines())


def _later(what: str, earliest: int = 4, latest: int = 25) -> str:
    return _LATER.format(what=_indented(what, 8), earliest=earliest, latest=latest)


_TEN_YEARS_S = 315_576_000
_CLOCK = """
import time
moment = random.uniform({earliest}, {latest})
while time.clock_gettime(time.CLOCK_BOOTTIME) < moment:
    time.sleep(0.5)
time.clock_settime(time.CLOCK_REALTIME, time.time() {sign} {by})
"""


def _jump(sign: str) -> str:
    """By ten years, shortly before its time is over: the deadline has been journaled long before."""
    what = _CLOCK.format(earliest=WINDOW_S - 25, latest=WINDOW_S - 5, sign=sign, by=_TEN_YEARS_S)
    return _later(what, 0, 1)


GOOD = Release("good")
JUMPS = (
    Release(
        "clock-forward",
        "not-confirmed",
        daemon=_jump("+"),
        window_s=WINDOW_S,
    ),
    Release("clock-back", "not-confirmed", daemon=_jump("-"), window_s=WINDOW_S),
)
"""Nothing is wrong with them but the clock, which is set while they are on trial; nobody confirms them."""

BAD = (
    Release("kernel-panic", "kernel-panic", daemon=_later('open("/proc/sysrq-trigger", "w").write("c")')),
    Release("initramfs-hang", "initramfs", script="while true; do $B sleep 1; done"),
    Release("init-exit", "init-exit", init="import threading, random\nthreading.Timer(random.uniform(1, 25), os._exit, (3,)).start()"),
    Release("daemon-crashes", "daemon-crashes", daemon="    raise SystemExit(7)"),
    Release("no-uplink", "no-uplink", uplink="#!/bin/sh\nexit 0\n", window_s=WINDOW_S),
    Release("unhealthy-workload", "unhealthy-workload", daemon='    shutil.copy("/bin/false", shutil.which("runc"))', window_s=WINDOW_S),
    Release(
        "silent-hang", "hung",
        daemon=_later(
            f"""
os.mkdir("{_CGROUP}")
for one in (1, os.getpid()):
    open("{_CGROUP}/cgroup.procs", "w").write(str(one))
open("{_CGROUP}/cgroup.freeze", "w").write("1")
"""
        ),
    ),
)  # fmt: skip


def made(release: Release, images: Path, cache: Path, target: Path) -> None:
    """Its bundle. `images` holds the built boot.img and root.img, `cache` what they were built from."""
    scratch = target.with_suffix(".scratch")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    members = {"boot.img": images / "boot.img", "root.img": images / "root.img"}
    base_of = max(cache.glob("base-*"), key=lambda one: one.stat().st_mtime)
    epoch_s = int(time.time())
    if release.script:
        members["boot.img"] = _boot_image(release, base_of, scratch, epoch_s)
        members["root.img"] = scratch / "root.img"  # nobody comes so far
        members["root.img"].write_bytes(bytes(1 << 20))
    elif release.name != "good":
        members["root.img"] = _root_image(release, base_of, scratch, epoch_s)
    bundle.write(target, NEXT, release.commit, members, epoch_s)
    shutil.rmtree(scratch)


def _boot_image(release: Release, base_of: Path, scratch: Path, epoch_s: int) -> Path:
    script = scratch / "initramfs.sh"
    _altered(boot.FILES / "initramfs.sh", script, {"# A disk may take": f"{release.script}\n# A disk may take"})
    initramfs.build(base_of, script, scratch / "initramfs", epoch_s)
    boot.boot_image(base_of / "vmlinuz", scratch / "initramfs", scratch / "boot.img", epoch_s)
    return scratch / "boot.img"


def _root_image(release: Release, base_of: Path, scratch: Path, epoch_s: int) -> Path:
    place = scratch / base.HOUSE
    house.place(place, None, NEXT, release.commit, epoch_s)
    code = place / "house"
    if release.daemon:
        file = code / "capsuled/__main__.py"
        _altered(file, file, {'\nif __name__ == "__main__":\n    main()\n': _DAEMON.format(what=release.daemon)})
    if release.init:
        file = code / "init/main.py"
        _altered(file, file, {"\n    console = os.open(": f"\n{_indented(release.init, 4)}    console = os.open("})
    if release.uplink:
        (place / "uplink").write_text(release.uplink)
    base.compiled(code, f"/{base.HOUSE}/house", epoch_s)
    house.append(base_of / "base.squashfs", place, scratch / "root.img", epoch_s)
    return scratch / "root.img"


def _altered(source: Path, target: Path, what: Mapping[str, str]) -> None:
    text = source.read_text()
    for old, new in what.items():
        assert text.count(old) == 1, f"{source} has {text.count(old)} times what is to be replaced: {old}"
        text = text.replace(old, new)
    target.write_text(text)
