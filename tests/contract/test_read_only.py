"""What a container may only read of the machine, it may not write by a way around: with a real runc, on both kinds of
machine."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capsuled.abilities import RuntimeLimits
from effects.runs.protocol import RunSpec
from journal.specs import HostBind
from tests.contract.run_subjects import ended
from tests.support.runtime import chunks, runtime
from tools.demo_image import archive

pytestmark = pytest.mark.real
DEEP = pytest.mark.parametrize("deep", [True, False], ids=["deep", "shallow"])
"""Whether the machine can make a whole tree of mounts read-only."""
_ALL_OF_SYS_IS_READ_ONLY = """\
while read -r _ _ _ _ place options _; do
    case $place:$options in /sys/fs/cgroup:*) ;; /sys*:ro*) ;; /sys*) exit 3;; esac
done < /proc/self/mountinfo"""
"""Also what is hidden, as the machine's groups are by those that a container has for itself; with version 1 these have
an empty place in memory around them."""


def exit_code(deep: bool, script: str, **fields: Any) -> int | None:
    """What a container that runs the script ends with."""

    async def main() -> int | None:
        async with asyncio.timeout(60), runtime(limits=RuntimeLimits(shallow=not deep)) as made:
            (image,) = await made.images.import_archive(chunks(archive("demo:1")))
            run = RunSpec("web", 7, 7, 1, image.platform_digest, command=("sh", "-c", script), **fields)
            await made.containers.ensure_running(run)
            return (await ended(made.containers)).exit_code

    return asyncio.run(main())


@pytest.fixture
def outer(tmp_path: Path) -> Iterator[Path]:
    """A directory of the machine with a mount in it, `inner`, which has a file, `there`."""
    inner = tmp_path / "inner"
    inner.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", inner], check=True)
    try:
        (inner / "there").touch()
        yield tmp_path
    finally:
        subprocess.run(["umount", inner], check=True)


@DEEP
def test_no_mount_below_a_read_only_bind_can_be_written(outer: Path, deep: bool) -> None:
    """Where the machine cannot make it read-only, too, it is not seen."""
    seen = "test -e" if deep else "! test -e"
    script = f"{seen} /host/inner/there || exit 3; touch /host/new /host/inner/new; exit 7"
    assert exit_code(deep, script, host_binds=(HostBind(str(outer), "/host", True),)) == 7
    assert sorted(one.name for one in outer.rglob("*")) == ["inner", "there"]


@DEEP
def test_no_file_system_of_the_kernels_below_sys_can_be_written_on_the_machines_network(deep: bool) -> None:
    assert exit_code(deep, _ALL_OF_SYS_IS_READ_ONLY, network="host") == 0
