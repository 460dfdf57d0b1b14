"""A private containerd for tests: its own directories and cgroup, ended with everything in it."""

import asyncio
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

from capsuled.abilities import RuntimeLimits, container_host
from capsuled.processes import beside
from capsuled.runtime import keep_containerd
from effects.containerd.config import paths_under
from effects.containerd.connection import Connection
from effects.containerd.leftovers import end_idle_shims
from effects.containers.bundles import Bundles
from effects.containers.containerd_copier import ContainerdCopier
from effects.containers.containerd_driver import ContainerdDriver
from effects.containers.containerd_executor import ContainerdExecutor
from effects.containers.last_resort import LastResort
from effects.images.containerd_store import ContainerdImages
from effects.images.registry import Access
from effects.images.registry_http import HttpRegistry
from effects.memory import unmount_memory
from effects.runs import cgroups
from effects.runs.copy_holds import CopyHolds
from tests.support.leftovers import unmount_below


async def _at_once(seconds: float) -> None:
    """No back-off: what is to be waited for is told by the test."""
    await asyncio.sleep(0)


class Runtime:
    """containerd, and the drivers on it."""

    def __init__(self, directory: Path, run: Path, limits: RuntimeLimits = RuntimeLimits()) -> None:
        self.directory = directory
        self.run = run
        self.paths = paths_under(directory / "containerd", run)
        self.cgroup = f"/capsule-test-{uuid.uuid4().hex[:8]}"
        self.connection = Connection(self.paths.address)
        self.access: dict[str, Access] = {}
        self.registry = HttpRegistry(lambda host: self.access.get(host, Access(host)))
        self.images = ContainerdImages(self.connection, self.registry, self.paths.root, _at_once)
        self.logs = directory / "logs"
        self.containers = ContainerdDriver(
            self.connection,
            self.images.unpacker,
            container_host(self.cgroup, limits),
            self.logs,
            directory / "containers",
            run / "runc",
            Bundles(self.paths),
            holds := CopyHolds(),
        )
        self.copier = ContainerdCopier(self.connection, beside, holds, run / "runc", run / "copies")
        self.executor = ContainerdExecutor(self.connection, run / "exec", Bundles(self.paths))
        self._supervised: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Up and answering."""
        self._supervised = asyncio.ensure_future(
            keep_containerd(self.paths, self.directory / "containerd.log", cap_delay_s=0.1)
        )
        await self.connection.ready()
        await self.executor.sweep()

    def pid(self) -> int:
        """containerd's process id."""
        return containerd_pid(self.paths.config)

    async def stop(self) -> None:
        """Nothing is left, also of a containerd that cannot say any more what runs."""
        async with AsyncExitStack() as stack:
            stack.callback(cgroups.remove, self.cgroup)
            stack.callback(end_idle_shims, self.paths)
            stack.push_async_callback(LastResort(self.run / "runc").stop_all, lambda _: 0)
            stack.push_async_callback(self._let_containerd_end)
            stack.push_async_callback(self.connection.close)
            stack.push_async_callback(self.registry.close)
            for run in await self.containers.observe():
                await self.containers.remove_workload(run.name, run.uid)

    async def _let_containerd_end(self) -> None:
        assert self._supervised is not None
        self._supervised.cancel()
        await asyncio.gather(self._supervised, return_exceptions=True)


def containerd_pid(config: Path) -> int:
    """The process id of the containerd with this configuration. A child that it is about to turn into another program
    has its command line for a moment, too."""
    found: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if words[:1] == [b"containerd"] and str(config).encode() in words:
                    parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                    found[int(entry.name)] = int(parent)
            except OSError:
                continue
    own = [pid for pid, parent in found.items() if parent not in found]
    assert own, "containerd is not running"
    return own[0]


@asynccontextmanager
async def runtime(disk_bytes: int = 0, limits: RuntimeLimits = RuntimeLimits()) -> AsyncIterator[Runtime]:
    """A runtime for one test, with these `limits` if it can do more; with `disk_bytes` on a file system of its own of
    that size."""
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="capsule-test-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        run = Path(tempfile.mkdtemp(prefix="capsule-run-", dir="/run"))
        stack.callback(shutil.rmtree, run, ignore_errors=True)
        for place in (directory, run):
            stack.callback(unmount_below, place)
        made = Runtime(directory, run, limits)
        stack.callback(unmount_memory, made.paths.memory)
        if disk_bytes:
            _mount(directory, disk_bytes)
        try:
            await made.start()
            yield made
        finally:
            await made.stop()


def _mount(directory: Path, disk_bytes: int) -> None:
    image, target = directory / "disk", directory / "containerd"
    target.mkdir()
    with image.open("wb") as file:
        file.truncate(disk_bytes)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, target], check=True)


async def chunks(content: bytes, size: int = 1 << 20) -> AsyncIterator[bytes]:
    """Content as a client sends it."""
    for start in range(0, len(content), size):
        yield content[start : start + size]
