"""The contract of a driver of volumes, on the twin and on the sparse driver: whatever the simulation relies on."""

import asyncio
import os
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from effects.errors import (
    GuestSilent,
    NotDetached,
    SnapshotMissing,
    VolumeBusy,
    VolumeFailed,
    VolumeMissing,
)
from effects.volumes.protocol import Reading, Staging
from tests.contract.volume_subjects import ALL, MIB, ON_BLOCKS, Subject, run


@ALL
def test_a_volume_is_made_once_and_keeps_what_is_written(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        path = await on.driver.mount("data", 7)
        assert path == on.driver.path("data", 7) == await on.driver.mount("data", 7)
        on.write(path, 42)
        await on.driver.make("data", 7, 64 * MIB)
        await on.driver.unmount("data", 7)
        await on.driver.unmount("data", 7)
        await on.driver.make("data", 7, 64 * MIB)
        assert on.read(await on.driver.mount("data", 7)) == 42
        (seen,) = await on.driver.observe()
        assert (seen.name, seen.uid, seen.size_bytes, seen.mounted) == ("data", 7, 64 * MIB, True)

    run(subject, suite)


@ALL
def test_another_incarnation_is_another_volume(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        for uid in (7, 8):
            await on.driver.make("data", uid, 64 * MIB)
            on.write(await on.driver.mount("data", uid), uid)
        await on.driver.remove("data", 7)
        assert [(seen.name, seen.uid) for seen in await on.driver.observe()] == [("data", 8)]
        assert on.read(on.driver.path("data", 8)) == 8
        with pytest.raises(VolumeMissing):
            await on.driver.mount("data", 7)
        await on.driver.remove("data", 7)

    run(subject, suite)


@ALL
def test_it_grows_detached_only_and_keeps_its_content(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        on.write(await on.driver.mount("data", 7), 42)
        with pytest.raises(NotDetached):
            await on.driver.make("data", 7, 128 * MIB)
        await on.driver.unmount("data", 7)
        await on.driver.make("data", 7, 128 * MIB)
        await on.driver.make("data", 7, 128 * MIB)
        assert on.read(await on.driver.mount("data", 7)) == 42
        fill = await on.driver.usage("data", 7)
        assert fill is not None and fill.total_bytes > 64 * MIB
        (seen,) = await on.driver.observe()
        assert seen.size_bytes == 128 * MIB

    run(subject, suite)


@ALL
def test_what_is_used_cannot_be_unmounted_or_removed(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        path = await on.driver.mount("data", 7)
        on.write(path, 42)
        release = on.hold(path)
        try:
            with pytest.raises(VolumeBusy):
                await on.driver.unmount("data", 7)
            with pytest.raises(VolumeBusy):
                await on.driver.remove("data", 7)
            assert on.read(path) == 42
        finally:
            release()
        await on.driver.remove("data", 7)
        assert await on.driver.observe() == ()

    run(subject, suite)


@ALL
def test_a_snapshot_is_a_moment_and_can_be_gone_back_to(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        path = await on.driver.mount("data", 7)
        on.write(path, 1)
        method = await on.driver.snapshot("data", 7, 9)
        on.write(path, 2)
        assert await on.driver.snapshot("data", 7, 9) == method, "asked again, it stays what it was"
        with pytest.raises(NotDetached):
            await on.driver.restore("data", 7, 9, 64 * MIB)
        await on.driver.unmount("data", 7)
        await on.driver.restore("data", 7, 9, 64 * MIB)
        await on.driver.restore("data", 7, 9, 64 * MIB)
        assert on.read(await on.driver.mount("data", 7)) == 1
        (seen,) = await on.driver.observe()
        assert [(one.snapshot, one.method) for one in seen.snapshots] == [(9, method)]
        await on.driver.remove_snapshot("data", 7, 9)
        await on.driver.remove_snapshot("data", 7, 9)
        (seen,) = await on.driver.observe()
        assert seen.snapshots == ()
        await on.driver.unmount("data", 7)
        with pytest.raises(SnapshotMissing):
            await on.driver.restore("data", 7, 9, 64 * MIB)

    run(subject, suite)


@ALL
def test_a_snapshot_from_before_a_growth_comes_back_at_todays_size(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        on.write(await on.driver.mount("data", 7), 1)
        await on.driver.unmount("data", 7)
        await on.driver.snapshot("data", 7, 9)
        await on.driver.make("data", 7, 128 * MIB)
        await on.driver.restore("data", 7, 9, 128 * MIB)
        assert on.read(await on.driver.mount("data", 7)) == 1
        fill = await on.driver.usage("data", 7)
        assert fill is not None and fill.total_bytes > 64 * MIB

    run(subject, suite)


@ALL
def test_whoever_looks_while_something_is_made_does_not_disturb_it(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        async def watched(work: Awaitable[object]) -> None:
            doing = asyncio.ensure_future(work)
            while not doing.done():
                await on.driver.observe()
            await doing

        await watched(on.driver.make("data", 7, 64 * MIB))
        on.write(await on.driver.mount("data", 7), 1)
        await watched(on.driver.snapshot("data", 7, 9))
        await watched(on.driver.unmount("data", 7))
        await watched(on.driver.restore("data", 7, 9, 64 * MIB))
        assert on.read(await on.driver.mount("data", 7)) == 1
        await watched(on.driver.remove_snapshot("data", 7, 9))
        await on.driver.unmount("data", 7)
        await watched(on.driver.remove("data", 7))
        assert await on.driver.observe() == ()

    run(subject, suite)


@ALL
def test_what_is_gone_is_not_made_again_by_growing_it(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        with pytest.raises(VolumeMissing):
            await on.driver.grow("data", 7, 128 * MIB)
        assert await on.driver.observe() == ()
        await on.driver.make("data", 7, 64 * MIB)
        with pytest.raises(SnapshotMissing):
            await on.driver.restore("data", 7, 9, 64 * MIB)

    run(subject, suite)


@ALL
def test_a_file_system_that_went_read_only_by_an_error_is_shown_and_mounted_anew(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        path = await on.driver.mount("data", 7)
        on.write(path, 1)
        assert [(one.mounted, one.read_only) for one in await on.driver.observe()] == [(True, False)]
        on.spoil(path)
        assert [(one.mounted, one.read_only) for one in await on.driver.observe()] == [(True, True)]
        with pytest.raises(VolumeFailed):
            await on.driver.snapshot("data", 7, 9)
        release = on.hold(path)
        try:
            with pytest.raises(VolumeBusy):
                await on.driver.mount("data", 7)
        finally:
            release()
        assert await on.driver.mount("data", 7) == path
        assert [(one.mounted, one.read_only) for one in await on.driver.observe()] == [(True, False)]
        assert on.read(path) == 1
        on.write(path, 2)
        assert on.read(path) == 2

    run(subject, suite)


@ALL
def test_what_another_hand_unmounts_while_it_is_open_is_told_guarded_and_mounted_as_it_is(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        path = await on.driver.mount("data", 7)
        await on.driver.snapshot("data", 7, 9)
        on.write(path, 1)
        news = on.driver.mounts()
        heard = asyncio.ensure_future(anext(aiter(news)))
        await asyncio.sleep(0.1)
        release = on.hold(path)
        try:
            on.unmount(path)
            async with asyncio.timeout(10):
                await heard
            assert await on.driver.mounted() == frozenset()
            with pytest.raises(VolumeFailed):
                await on.driver.snapshot("data", 7, 10)
            with pytest.raises(NotDetached):
                await on.driver.grow("data", 7, 128 * MIB)
            with pytest.raises(NotDetached):
                await on.driver.restore("data", 7, 9, 64 * MIB)
            with pytest.raises(VolumeBusy):
                await on.driver.remove("data", 7)
            assert await on.driver.mount("data", 7) == path
            assert on.read(path) == 1, "it is the file system that is open, not another on the same blocks"
        finally:
            release()
        on.write(path, 2)
        await on.driver.unmount("data", 7)
        await on.driver.grow("data", 7, 128 * MIB)
        assert on.read(await on.driver.mount("data", 7)) == 2

    run(subject, suite)


@ON_BLOCKS
def test_what_is_freed_in_a_mounted_volume_goes_back_to_the_storage(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        async def taken() -> int:
            return (await on.driver.observe())[0].used_bytes

        await on.driver.make("data", 7, 128 * MIB)
        path = await on.driver.mount("data", 7)
        Path(path, "bulk").write_bytes(os.urandom(MIB) * 64)
        os.sync()
        full = await taken()
        assert full > 64 * MIB
        Path(path, "bulk").unlink()
        os.sync()
        async with asyncio.timeout(60):
            while await taken() > full - 60 * MIB:  # noqa: ASYNC110 -- given back behind the commit, without a bell
                await asyncio.sleep(0.05)

    run(subject, suite)


@ALL
def test_what_is_mounted_is_known(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        await on.driver.make("more", 8, 64 * MIB)
        assert await on.driver.mounted() == frozenset()
        await on.driver.mount("data", 7)
        assert await on.driver.mounted() == {("data", 7)}
        await on.driver.unmount("data", 7)
        assert await on.driver.mounted() == frozenset()

    run(subject, suite)


async def carried(on: Subject, staged: str, size_bytes: int) -> None:
    """Snapshot 9 of data.7, staged for another."""
    reading, staging = await on.porter.read("data", 7, 9), await on.porter.stage(staged, size_bytes)
    assert reading.size_bytes == size_bytes and 0 < reading.data_bytes <= size_bytes
    for offset, content in reading.pieces():
        staging.write(offset, content)
    reading.close()
    await staging.settle()
    staging.close()


@ALL
def test_what_a_snapshot_holds_is_carried_into_another_volume(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        path = await on.driver.mount("data", 7)
        on.write(path, 42)
        await on.driver.snapshot("data", 7, 9)
        on.write(path, 43)
        await carried(on, "import-1", 64 * MIB)
        assert [one.uid for one in await on.driver.observe()] == [7], "what is staged is no volume yet"
        for _ in range(2):  # the answer was lost, and it is asked again
            await on.driver.adopt("copy", 8, "import-1")
        await on.driver.grow("copy", 8, 128 * MIB)
        assert on.read(await on.driver.mount("copy", 8)) == 42 and on.read(path) == 43
        with pytest.raises(VolumeMissing):
            await on.driver.adopt("other", 9, "import-1")
        with pytest.raises(SnapshotMissing):
            await on.porter.read("data", 7, 10)

    run(subject, suite)


@ALL
def test_what_was_staged_stays_for_whom_it_is_for_and_for_nobody_else(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        on.write(await on.driver.mount("data", 7), 42)
        await on.driver.snapshot("data", 7, 9)
        for staged in ("import-1", "import-2", "import-3"):
            await carried(on, staged, 64 * MIB)
        half = await on.porter.stage("import-4", 64 * MIB)
        half.write(0, b"half of it")
        half.close()
        await on.porter.unstage("import-3")
        await on.driver.sweep(frozenset({"import-2", "import-4"}))
        await on.driver.adopt("kept", 8, "import-2")
        assert on.read(await on.driver.mount("kept", 8)) == 42
        for uid, staged in enumerate(("import-1", "import-3", "import-4"), 20):
            with pytest.raises(VolumeMissing):
                await on.driver.adopt("gone", uid, staged)

    run(subject, suite)


@ALL
def test_what_is_staged_while_the_storage_is_swept_comes_whole(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        on.write(await on.driver.mount("data", 7), 42)
        await on.driver.snapshot("data", 7, 9)
        reading, staging = await on.porter.read("data", 7, 9), await on.porter.stage("import-1", 64 * MIB)
        await on.driver.sweep(frozenset(), lambda: {"import-1"})
        for offset, content in reading.pieces():
            staging.write(offset, content)
        reading.close()
        await staging.settle()
        staging.close()
        await on.driver.sweep(frozenset(), lambda: {"import-1"})
        await on.driver.adopt("kept", 8, "import-1")
        assert on.read(await on.driver.mount("kept", 8)) == 42

    run(subject, suite)


@ALL
def test_what_no_volume_is_made_of_is_put_away_without_another_life(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        on.write(await on.driver.mount("data", 7), 42)
        await on.driver.snapshot("data", 7, 9)
        before = await on.stored()
        half = await on.porter.stage("import-1", 64 * MIB)
        half.write(0, b"half of it")
        half.close()
        await carried(on, "import-2", 64 * MIB)
        for staged in ("import-1", "import-2", "import-3"):
            await on.porter.unstage(staged)
        assert await on.stored() == before
        with pytest.raises(VolumeMissing):
            await on.driver.adopt("gone", 8, "import-2")

    run(subject, suite)


@ALL
def test_a_call_that_is_cancelled_leaves_nothing_open_and_nothing_behind(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        on.write(await on.driver.mount("data", 7), 42)
        await on.driver.snapshot("data", 7, 9)
        before, opened = await on.stored(), len(os.listdir("/proc/self/fd"))

        async def cut(begun: Coroutine[Any, Any, Reading | Staging], steps: int) -> None:
            call = asyncio.ensure_future(begun)
            for _ in range(steps):
                await asyncio.sleep(0)
            call.cancel()
            with suppress(asyncio.CancelledError):
                (await call).close()

        for steps in range(6):
            await cut(on.porter.stage("import-1", 64 * MIB), steps)
            await on.porter.unstage("import-1")
            await cut(on.porter.read("data", 7, 9), steps)
        assert await on.stored() == before
        assert len(os.listdir("/proc/self/fd")) <= opened

    run(subject, suite)


@ALL
def test_one_is_attached_or_mounted_and_has_what_was_written_either_way(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        driver = on.driver
        with pytest.raises(VolumeMissing):
            await driver.attach("data", 7)
        await driver.make("data", 7, 64 * MIB)
        on.write(await driver.mount("data", 7), 1)
        with pytest.raises(VolumeBusy):
            await driver.attach("data", 7)
        await driver.unmount("data", 7)
        disk = await driver.attach("data", 7)
        assert await driver.attach("data", 7) == disk and on.read(disk) == 1
        assert await driver.mounted() == {("data", 7)} and [one.mounted for one in await driver.observe()] == [True]
        with pytest.raises(VolumeBusy):
            await driver.mount("data", 7)
        with pytest.raises(NotDetached):
            await driver.grow("data", 7, 128 * MIB)
        on.write(disk, 2)
        await driver.detach("data", 7)
        await driver.detach("data", 7)
        assert await driver.mounted() == frozenset()
        assert on.read(await driver.mount("data", 7)) == 2

    run(subject, suite)


@ALL
def test_what_a_virtual_machine_has_open_stays_its_own_and_is_frozen_by_its_guest(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        driver = on.driver
        await driver.make("data", 7, 64 * MIB)
        disk = await driver.attach("data", 7)
        on.write(disk, 1)
        release = on.hold(disk)
        try:
            assert await driver.attach("data", 7) == disk, "as a daemon does that adopts it"
            assert await driver.usage("data", 7) is not None
            await driver.snapshot("data", 7, 9)
            on.silence(True)
            with pytest.raises(GuestSilent):
                await driver.usage("data", 7)
            with pytest.raises(GuestSilent):
                await driver.snapshot("data", 7, 10)
            on.silence(False)
            for busy in (driver.detach("data", 7), driver.mount("data", 7), driver.remove("data", 7)):
                with pytest.raises(VolumeBusy):
                    await busy
            for needs_it in (driver.grow("data", 7, 128 * MIB), driver.restore("data", 7, 9, 64 * MIB)):
                with pytest.raises(NotDetached):
                    await needs_it
        finally:
            release()
        on.write(disk, 2)
        (seen,) = await driver.observe()
        assert [one.snapshot for one in seen.snapshots] == [9]
        await driver.snapshot("data", 7, 11)
        await driver.detach("data", 7)
        await driver.restore("data", 7, 9, 64 * MIB)
        assert on.read(await driver.mount("data", 7)) == 1
        await driver.unmount("data", 7)
        release = on.hold(disk)
        try:
            for busy in (driver.attach("data", 7), driver.mount("data", 7), driver.remove("data", 7)):
                with pytest.raises(VolumeBusy):
                    await busy
        finally:
            release()
        await driver.attach("data", 7)
        await driver.remove("data", 7)
        assert await driver.observe() == () and await driver.mounted() == frozenset()

    run(subject, suite)


@ALL
def test_what_another_journal_called_so_is_set_aside_and_never_taken_for_what_is_asked(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB, asked_at=1)
        path = await on.driver.mount("data", 7)
        on.write(path, 1)
        await on.driver.snapshot("data", 7, 9, asked_at=2)
        on.write(path, 2)
        for _ in range(2):  # the answer was lost, and it is asked again
            await on.driver.snapshot("data", 7, 9, asked_at=3)
            on.write(path, 3)
        await on.driver.unmount("data", 7)
        await on.driver.snapshot("data", 7, 10, asked_at=4)
        await on.driver.snapshot("data", 7, 10, asked_at=5)
        await on.driver.restore("data", 7, 9, 64 * MIB)
        assert on.read(await on.driver.mount("data", 7)) == 2
        await on.driver.unmount("data", 7)
        for _ in range(2):
            await on.driver.make("data", 7, 32 * MIB, asked_at=6)
        (seen,) = await on.driver.observe()
        assert (seen.size_bytes, seen.snapshots) == (32 * MIB, ()), "it is new, and has none"
        path = await on.driver.mount("data", 7)
        on.write(path, 4)
        for snapshot in (9, 10):
            await on.driver.snapshot("data", 7, snapshot, asked_at=7)
        await on.driver.unmount("data", 7)
        kept = [one for one in await on.stored() if "stranger" in one]
        assert len(kept) == 5, "two snapshots, then the volume with its two"
        await on.driver.remove_snapshot("data", 7, 9, asked_at=7)
        await on.driver.remove_snapshot("data", 7, 10, asked_at=8)
        (seen,) = await on.driver.observe()
        assert seen.snapshots == ()
        await on.driver.remove("data", 7, asked_at=8)
        assert await on.driver.observe() == ()
        kept = [one for one in await on.stored() if "stranger" in one]
        assert len(kept) == 7, "what was asked for then is gone, and another snapshot and volume are not"

    run(subject, suite)


@ALL
def test_what_stands_where_an_import_is_to_be_is_not_taken_for_it(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        await on.driver.make("data", 7, 64 * MIB)
        on.write(await on.driver.mount("data", 7), 42)
        await on.driver.snapshot("data", 7, 9)
        on.write(on.driver.path("data", 7), 43)
        await on.driver.unmount("data", 7)
        await carried(on, "import-1", 64 * MIB)
        for _ in range(2):
            await on.driver.adopt("data", 7, "import-1", keeps=(9,))
        assert on.read(await on.driver.mount("data", 7)) == 42
        await on.driver.unmount("data", 7)
        (seen,) = await on.driver.observe()
        assert [one.snapshot for one in seen.snapshots] == [9]
        assert len([one for one in await on.stored() if "stranger" in one]) == 1
        await carried(on, "import-2", 64 * MIB)
        await on.driver.adopt("data", 7, "import-2")
        (seen,) = await on.driver.observe()
        assert seen.snapshots == (), "of a volume that never was here no snapshot is this one's"
        await on.driver.remove("data", 7)
        kept = [one for one in await on.stored() if "stranger" in one]
        assert len(kept) == 3, "what another journal called so stays, whatever becomes of the import"

    run(subject, suite)


@ALL
def test_an_import_that_was_not_told_as_made_is_removed_with_the_snapshots_it_keeps(subject: Any) -> None:
    """Its room was short, or the power went, behind `adopt`: when it is deleted then, it is known by when it was asked
    for."""

    async def suite(on: Subject) -> None:
        others = set(await on.stored())
        await on.driver.make("data", 7, 64 * MIB)
        on.write(await on.driver.mount("data", 7), 42)
        for snapshot in (9, 10):
            await on.driver.snapshot("data", 7, snapshot, asked_at=snapshot)
        await on.driver.unmount("data", 7)
        await carried(on, "import-1", 64 * MIB)
        for _ in range(2):
            await on.driver.adopt("data", 7, "import-1", 5, (9, 10))
        await on.driver.remove_snapshot("data", 7, 9, asked_at=9)
        await on.driver.remove("data", 7, asked_at=5)
        (aside,) = set(await on.stored()) - others
        assert "stranger" in aside, "what stood there before, and no more"

    run(subject, suite)
