"""What an import leaves on the thin pool: a volume to be, or nothing at all, wherever it was cut."""

import asyncio
import json
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from effects.errors import VolumeDamaged
from effects.volumes.thin_driver import ThinVolumes
from effects.volumes.thin_group import MAKING, ThinGroup
from effects.volumes.thin_porter import ThinPorter

STAGED, SIZE_BYTES = "staged-import-1", 1 << 20
SNAPSHOT = "snap-data.7.9"
SOUND, DAMAGED = 0, 4


class Pool:
    """A volume group: the tags of what is in it. `checked` is what e2fsck says; `held_up`: at this verb LVM waits until
    it `answers`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.there: dict[str, set[str]] = {SNAPSHOT: set()}
        self.checked = SOUND
        self.held_up, self.waits, self.answers = "", asyncio.Event(), asyncio.Event()
        self.device(SNAPSHOT).write_bytes(bytes(SIZE_BYTES))

    def device(self, name: str) -> Path:
        return self.directory / name

    def is_open(self, name: str) -> bool:
        places = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
        return str(self.device(name)) in [os.readlink(place) for place in places if os.path.islink(place)]

    async def command(self, *argv: str) -> tuple[int, str]:
        if argv[0] == "e2fsck":
            return self.checked, "what it says"
        verb, words = argv[1], argv[2:]
        if verb == self.held_up:
            self.waits.set()
            await self.answers.wait()
        if verb == "lvcreate":
            name = words[words.index("--name") + 1]
            self.there[name] = {MAKING}
            self.device(name).write_bytes(bytes(SIZE_BYTES))
        elif verb == "lvremove":
            for one in words[1:]:
                name = one.removeprefix("capsule/")
                if self.is_open(name):
                    return 5, f"Logical volume {one} in use."
                del self.there[name]
        elif verb == "lvchange" and "--deltag" in words:
            self.there[words[-1].removeprefix("capsule/")].discard(MAKING)
        rows = [
            {"lv_name": name, "lv_size": str(SIZE_BYTES), "lv_tags": ",".join(tags), "lv_active": "active"}
            for name, tags in self.there.items()
        ]
        return 0, json.dumps({"report": [{"lv": rows}]})


class Group(ThinGroup):
    """With a file in place of every device."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool.command, "capsule", "pool")
        self._files = pool

    def device(self, name: str) -> str:
        return str(self._files.device(name))


def on_a_pool(tmp_path: Path, suite: Callable[[Pool, ThinPorter], Awaitable[None]]) -> None:
    async def inside() -> None:
        pool = Pool(tmp_path)
        await suite(pool, ThinPorter(pool.command, Group(pool)))

    asyncio.run(inside())


def test_half_of_an_import_is_put_away_and_so_is_one_without_a_file_system(tmp_path: Path) -> None:
    async def suite(pool: Pool, porter: ThinPorter) -> None:
        half = await porter.stage("import-1", SIZE_BYTES)
        half.write(0, b"half of it")
        half.close()
        await porter.unstage("import-1")
        assert pool.there.keys() == {SNAPSHOT}
        pool.checked = DAMAGED
        nothing = await porter.stage("import-1", SIZE_BYTES)
        with pytest.raises(VolumeDamaged):
            await nothing.settle()
        nothing.close()
        await porter.unstage("import-1")
        assert pool.there.keys() == {SNAPSHOT}

    on_a_pool(tmp_path, suite)


def test_a_sweep_leaves_what_this_life_stages(tmp_path: Path) -> None:
    async def suite(pool: Pool, porter: ThinPorter) -> None:
        volumes = ThinVolumes(pool.command, Group(pool), tmp_path)
        pool.there |= {"staged-import-7": {MAKING}, "staged-import-8": set()}
        coming = await porter.stage("import-1", SIZE_BYTES)
        await volumes.sweep(frozenset({"import-8"}), lambda: {"import-1"})
        assert pool.there.keys() == {SNAPSHOT, STAGED, "staged-import-8"}
        await coming.settle()
        coming.close()
        await volumes.sweep(frozenset(), lambda: {"import-1"})
        assert pool.there.keys() == {SNAPSHOT, STAGED}

    on_a_pool(tmp_path, suite)


def test_who_is_cancelled_while_it_is_made_leaves_it_closed(tmp_path: Path) -> None:
    async def suite(pool: Pool, porter: ThinPorter) -> None:
        pool.held_up = "lvcreate"
        call = asyncio.ensure_future(porter.stage("import-1", SIZE_BYTES))
        await pool.waits.wait()
        call.cancel()
        await asyncio.sleep(0)
        pool.answers.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert STAGED in pool.there and not pool.is_open(STAGED)
        await porter.unstage("import-1")
        assert pool.there.keys() == {SNAPSHOT}

    on_a_pool(tmp_path, suite)


def test_who_is_cancelled_while_a_snapshot_is_opened_does_not_keep_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def suite(pool: Pool, porter: ThinPorter) -> None:
        opens, goes_on = threading.Event(), threading.Event()
        really = os.open

        def slow(path: str, flags: int, mode: int = 0o777) -> int:
            if path == str(pool.device(SNAPSHOT)):
                opens.set()
                assert goes_on.wait(10)
            return really(path, flags, mode)

        monkeypatch.setattr(os, "open", slow)
        call = asyncio.ensure_future(porter.read("data", 7, 9))
        await asyncio.to_thread(opens.wait, 10)
        call.cancel()
        await asyncio.sleep(0)
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.sleep(0.05)
        assert not pool.is_open(SNAPSHOT)

    on_a_pool(tmp_path, suite)
