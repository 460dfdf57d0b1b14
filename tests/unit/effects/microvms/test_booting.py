"""What an operator's machine boots from, where that gives no answer."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from effects import held
from effects.errors import HostPathMissing, StartFailed
from effects.host_paths import HostPaths
from effects.microvms.booting import Booting
from effects.microvms.opening import opening
from effects.microvms.places import Places
from effects.runs.protocol import MountedVolume, RunSpec
from journal.specs import MicroVM
from tests.support.until import until


@contextmanager
def impatient() -> Iterator[None]:
    """While nothing is to answer: what does has all the time that it has otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("effects.host_paths.PATIENCE_S", 0.01)
        yield


def made(directory: Path, paths: HostPaths | None = None) -> tuple[Booting, RunSpec]:
    """Its kernel and its root file system are there."""
    kernel, root = directory / "vmlinuz", directory / "root.img"
    for path in (kernel, root):
        path.touch()
        path.chmod(0o644)
    nobody: Any = None
    booting = Booting(Places(directory, directory, directory), nobody, nobody, nobody, 24, paths)
    return booting, RunSpec("vm", 7, 7, 1, "", vm=MicroVM(kernel_path=str(kernel), rootfs_path=str(root)))


def test_a_kernel_that_gives_no_answer_is_told_and_one_that_only_its_owner_reads(tmp_path: Path) -> None:
    back = threading.Event()

    async def inside() -> None:
        booting, run = made(tmp_path, HostPaths(lambda path: back.wait(60) and 0))
        with impatient(), pytest.raises(HostPathMissing, match="vmlinuz does not answer, and vm boots from it"):
            await booting.prepare(run)
        back.set()
        booting, run = made(tmp_path)
        assert not (await booting.prepare(run)).record.agent
        (tmp_path / "vmlinuz").chmod(0o600)
        with pytest.raises(StartFailed, match="read by its owner only"):
            await booting.prepare(run)

    asyncio.run(inside())


def test_a_root_file_system_that_is_opened_too_late_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    back, found, really = threading.Event(), list[int](), held.opened

    def opened(path: Path, *, shared: bool) -> int:
        assert back.wait(60), "the event loop waits for it"
        found.append(really(path, shared=shared))
        return found[-1]

    monkeypatch.setattr(held, "opened", opened)

    async def inside() -> None:
        booting, run = made(tmp_path)
        boot = await booting.prepare(run)
        with (
            opening() as kept,
            impatient(),
            pytest.raises(HostPathMissing, match="does not answer, and vm boots from it"),
        ):
            await booting.open(run, boot, kept, ())
        back.set()
        await until(lambda: found and not held.is_held(tmp_path / "root.img"))

    asyncio.run(inside())


def test_a_start_that_is_given_up_leaves_no_disk_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume, opening_it, back, really = tmp_path / "data.img", threading.Event(), threading.Event(), held.opened
    volume.touch()

    def opened(path: Path, *, shared: bool) -> int:
        if path == volume:
            opening_it.set()
            assert back.wait(60)
        return really(path, shared=shared)

    monkeypatch.setattr(held, "opened", opened)

    async def inside() -> None:
        booting, run = made(tmp_path)
        run = msgspec.structs.replace(run, volumes=(MountedVolume(str(volume), "/data"),))
        boot = await booting.prepare(run)
        (tmp_path / "vm").mkdir(exist_ok=True)

        async def start() -> None:
            with opening() as kept:
                await booting.open(run, boot, kept, ())

        starting = asyncio.ensure_future(start())
        await asyncio.to_thread(opening_it.wait, 60)
        starting.cancel()
        await asyncio.sleep(0.05)
        back.set()
        with pytest.raises(asyncio.CancelledError):
            await starting

    asyncio.run(inside())
    assert not held.is_held(volume)
