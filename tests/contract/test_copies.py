"""The contract of a copier, on the twin and on a container that has neither tar nor a shell."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from effects.errors import CopyFailed, NotRunning
from effects.runs.copy_protocol import CopyPlace, CopyReport
from effects.runs.copy_session import END_S
from tests.contract.copy_subjects import (
    ALL,
    BOTH,
    DIR,
    LINK,
    Subject,
    emptied,
    handed,
    poured,
    read_out,
    real,
    refused,
    run_suite,
)
from tests.support.trees import member, tar

FILE = tar(member("one", content=b"1", uid=1234, gid=567, mode=0o4750, mtime=86_400))
TREE = tar(member("t", DIR, mode=0o2775), member("t/a", content=b"A"), member("t/l", LINK, link="/etc/passwd"))


@ALL
def test_what_goes_in_comes_out_with_owner_mode_and_time(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        assert (await made.put(FILE, "/srv/new")).entries == 1
        found = (await made.get("/srv/new"))["new"]
        assert (found.uid, found.gid, found.mode, found.mtime, found.size) == (1234, 567, 0o4750, 86_400, 1)
        await made.put(TREE, "srv")
        names = await made.get("/srv/t/")
        assert {name: one.type for name, one in names.items()} == {"t": DIR, "t/a": b"0", "t/l": LINK}
        assert names["t"].mode == 0o2775 and names["t/l"].linkname == "/etc/passwd"
        assert set(await made.get("/srv")) == {"srv", "srv/motd", "srv/new", "srv/t", "srv/t/a", "srv/t/l"}

    run_suite(subject, suite)


@ALL
def test_the_whole_of_it_has_the_workloads_name_and_nothing_the_kernel_makes_up(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        await made.put(FILE, "/data/")
        names = await made.get("/")
        assert {"web", "web/srv/motd", "web/data/one", "web/lib", "web/proc"} <= set(names)
        assert not [name for name in names if name.startswith(("web/proc/", "web/sys/"))]

    run_suite(subject, suite)


@ALL
def test_links_lead_where_they_lead_for_the_workload(subject: Any) -> None:
    """And a copy of a link is a link."""

    async def suite(made: Subject) -> None:
        await made.put(FILE, "/lib/x")
        assert set(await made.get("/usr/lib")) == {"lib", "lib/x"}
        assert (await made.get("/lib"))["lib"].type == LINK
        assert set(await made.get("/lib/")) == {"lib", "lib/x"}
        await made.put(FILE, "/out/here")
        assert set(await made.get("/tmp/here")) == {"here"}
        assert not Path("/tmp/here").exists()

    run_suite(subject, suite)


@ALL
def test_a_volume_is_seen_as_the_workload_sees_it(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        await made.put(TREE, "/data/deep/er")
        assert sorted(os.listdir(made.volume / "deep" / "er")) == ["a", "l"]
        assert set(await made.get("/data/deep")) == {"deep", "deep/er", "deep/er/a", "deep/er/l"}

    run_suite(subject, suite)


@ALL
def test_what_cannot_be_is_refused_by_name_and_nothing_changes(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        before = set(await made.get("/srv"))
        await refused(made.get("/srv/none"), "PATH_MISSING", "/srv/none in web: there is no such path")
        await refused(made.get("/none/x"), "PATH_MISSING")
        await refused(made.get("/srv/motd/"), "NOT_A_DIRECTORY")
        await refused(made.get("/srv/.."), "PATH_BAD", "ends in `..`")
        await refused(made.put(FILE, "/srv/motd/"), "NOT_A_DIRECTORY", "motd exists and is no directory")
        await refused(made.put(TREE, "/srv/motd"), "PATH_IN_THE_WAY", "/srv/motd is no directory there")
        await refused(made.put(FILE[:700], "/srv/"), "ARCHIVE_CUT")
        await refused(made.put(b"no tar" * 200, "/srv/"), "BAD_ARCHIVE")
        await refused(made.put(tar(member("../x")), "/srv/"), "BAD_ARCHIVE", "leads out of it")
        await refused(made.put(tar(member("a"), member("b")), "/srv/x"), "BAD_ARCHIVE", "more than one entry")
        assert set(await made.get("/srv")) == before

    run_suite(subject, suite)


@ALL
def test_one_that_is_given_up_leaves_nothing(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        before = set(await made.get("/"))
        large = tar(member("big", content=bytes(3 << 20)))
        session = await made.copier.into(made.place("/srv/"))
        await session.write(large[: 2 << 20])
        await session.close()
        whole = await made.copier.into(made.place("/srv/"))
        await whole.write(large)
        await whole.close()  # it came whole, and nobody said that it is meant
        reading = await made.copier.out_of(made.place("/"))
        async for _ in reading.pieces():
            break
        await reading.close()
        assert set(await made.get("/")) == before

    run_suite(subject, suite)


@ALL
def test_a_copy_gives_way_to_the_end_of_its_run(subject: Any) -> None:
    """Whatever its client does meanwhile: what it holds has to be unmounted."""

    async def suite(made: Subject) -> None:
        session = await made.copier.into(made.place("/data/"))
        await session.write(FILE[:600])
        await made.stop()
        with pytest.raises(CopyFailed, match="gives way") as raised:
            await session.finish()
        assert raised.value.reason == "CALLED_OFF"
        await session.close()
        assert os.listdir(made.volume) == []
        with pytest.raises(NotRunning):
            await made.get("/srv")

    run_suite(subject, suite)


@BOTH
def test_an_archive_may_pass_by_whoever_opened_the_copy(subject: Any) -> None:
    """Its end of the pipe is somebody else's then, and only the other end counts."""

    async def suite(made: Subject) -> None:
        large = tar(member("big", content=os.urandom(3 << 20)))
        session = await made.copier.into(made.place("/srv/"))
        pipe = handed(session)
        assert session.handed and not session.hand(lambda fd: True)
        await refused(session.write(b"x"), "BAD_ARCHIVE", "a part of it came in a message")
        await asyncio.to_thread(poured, pipe, large)
        report = await session.finish()
        await session.close()
        assert report == CopyReport(1, archive_bytes=len(large)) and session.moved == len(large)

        reading = await made.copier.out_of(made.place("/srv/big"))
        pipe = handed(reading)
        found = asyncio.create_task(asyncio.to_thread(read_out, pipe))
        assert [piece async for piece in reading.pieces()] == []
        await reading.close()
        assert len(await found) == reading.moved == reading.report.archive_bytes
        assert (await made.get("/srv/big"))["big"].size == 3 << 20

    run_suite(subject, suite)


@BOTH
def test_an_end_that_somebody_else_holds_open_holds_up_nothing(subject: Any) -> None:
    """Neither his silence nor what he has sent keeps a file system in use; and what had moved by then is known."""

    async def suite(made: Subject) -> None:
        before = set(await made.get("/srv"))
        silent = await made.copier.into(made.place("/data/"))
        pipe = handed(silent)
        os.write(pipe, FILE[:600])
        await asyncio.to_thread(emptied, pipe)
        async with asyncio.timeout(END_S / 2):
            await silent.close()
        assert silent.moved == 600 and os.listdir(made.volume) == []
        os.close(pipe)
        whole = await made.copier.into(made.place("/srv/"))
        poured(handed(whole), FILE)
        await whole.close()  # nobody said that it is meant
        assert set(await made.get("/srv")) == before

        await made.put(tar(member("big", content=bytes(3 << 20))), "/srv/")
        unread, called_off = await made.copier.out_of(made.place("/srv/big")), await made.copier.into(made.place("/"))
        ends = [handed(unread), handed(called_off)]
        async with asyncio.timeout(END_S / 2):
            await made.stop()
        await refused(called_off.finish(), "CALLED_OFF", "gives way")
        for one in (unread, called_off):
            await one.close()
        for end in ends:
            os.close(end)

    run_suite(subject, suite)


@BOTH
def test_who_takes_the_pipe_and_goes_leaves_nothing(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        before = set(await made.get("/srv"))
        session = await made.copier.into(made.place("/srv/"))
        poured(handed(session), FILE[:700])
        await refused(session.finish(), "ARCHIVE_CUT")
        await session.close()
        reading = await made.copier.out_of(made.place("/"))
        os.close(handed(reading))
        with pytest.raises(CopyFailed, match="nobody reads the archive"):
            assert [piece async for piece in reading.pieces()] == []
        await reading.close()
        denied = await made.copier.into(made.place("/srv/"))
        assert not denied.hand(lambda fd: False) and not denied.handed
        await denied.close()
        assert set(await made.get("/srv")) == before

    run_suite(subject, suite)


@BOTH
def test_what_does_not_run_has_its_files_but_not_what_is_mounted(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        await made.put(FILE, "/data/")
        await refused(made.get("/srv", running=False), "NOT_RUNNING", "just starting or ending")
        await made.stop()
        await made.put(FILE, "/srv/new", running=False)
        assert set(await made.get("/srv", running=False)) == {"srv", "srv/motd", "srv/new"}
        await refused(made.get("/data", running=False), "NOT_RUNNING", "only while it runs")
        await refused(made.put(FILE, "/data/", running=False), "NOT_RUNNING", "only while it runs")
        waiting = await made.copier.into(made.place("/srv/", running=False))
        await made.containers.ensure_running(made.run)
        await refused(waiting.finish(), "CALLED_OFF", "being started")
        await waiting.close()
        assert set(await made.get("/srv")) == {"srv", "srv/motd", "srv/new"}

    run_suite(subject, suite)


@BOTH
def test_what_has_never_run_has_no_files(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        with pytest.raises(NotRunning):
            await made.copier.into(CopyPlace("new", 9, 9, 0, "/"))
        with pytest.raises(NotRunning):
            await made.copier.out_of(CopyPlace("web", 7, 7, 2, "/"))

    run_suite(subject, suite)


@pytest.mark.real
def test_links_through_what_the_workload_keeps_elsewhere_do_not_leave_it() -> None:
    """A link into a volume by an absolute path, and one in a volume that leads up and out."""

    async def suite(made: Subject) -> None:
        os.symlink("../../../../../../srv", made.volume / "up")
        await made.put(FILE, "/data/up/x")
        assert set(await made.get("/srv")) == {"srv", "srv/motd", "srv/x"}
        await refused(made.get("/proc/1/root/srv"), "NOT_PERMITTED")
        await refused(made.put(FILE, "/proc/1/cwd/srv/"), "NOT_PERMITTED")
        await refused(made.get("/dev/null"), "NOT_COPYABLE", "a device")
        await refused(made.get("/proc/version"), "NOT_COPYABLE", "the kernel makes it up")
        await refused(made.get("/sys"), "NOT_COPYABLE")
        await refused(made.put(FILE, "/proc/"), "NOT_COPYABLE")
        await refused(made.put(FILE, "/etc/hosts"), "PATH_BUSY", "/etc/hosts: something is mounted just there")

    run_suite(real, suite)
