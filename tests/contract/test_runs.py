"""The contract of a driver of runs, on the twin, on containerd and on QEMU: whatever the simulation relies on."""

import asyncio
import signal
from typing import Any

import pytest
from msgspec.structs import replace

from effects.containers.last_resort import LastResort
from effects.errors import (
    BadUser,
    BadWorkingDir,
    DriverError,
    EntrypointMissing,
    HostPathMissing,
    ImageMissing,
    MemoryTooLow,
)
from effects.runs.protocol import Resync, RunSpec
from journal.specs import HostBind, Resources, Tmpfs
from projections.observations import ObservedRun
from tests.contract.run_subjects import BOTH, EVERY, KERNELS, LIMIT, SERVE, Subject, ended, real, run_suite
from tests.support.runtime import chunks, runtime
from tests.support.until import until
from tools.demo_image import archive


@EVERY
def test_a_run_is_started_once_however_often_it_is_ensured(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        first = await driver.ensure_running(make("serve"))
        again = await driver.ensure_running(make("serve"))
        assert first.status == "running" and first.pid and again == first
        assert await driver.observe() == (first,)

    run_suite(subject, suite)


@EVERY
def test_an_exit_code_is_kept_until_the_run_is_removed(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        await driver.ensure_running(make("end 7"))
        assert (await ended(driver)).exit_code == 7
        again = await driver.ensure_running(make("end 7"))
        assert (again.status, again.exit_code) == ("stopped", 7)
        await driver.remove_run("web", 7, 1)
        await driver.remove_run("web", 7, 1)
        assert await driver.observe() == ()

    run_suite(subject, suite)


@EVERY
def test_stop_asks_first_and_kills_after_the_grace(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make, ready = made.driver, made.make, made.ready
        await ready(await driver.ensure_running(make("serve")))
        polite = await driver.stop("web", 7, 1, grace_ms=10_000)
        assert polite is not None and (polite.status, polite.exit_code) == ("stopped", 143)
        assert await driver.stop("web", 7, 1, grace_ms=10_000) == polite
        await driver.remove_run("web", 7, 1)
        await driver.ensure_running(make("stubborn", run=2))
        killed = await driver.stop("web", 7, 2, grace_ms=200)
        assert killed is not None and killed.exit_code == 137
        assert await driver.stop("web", 7, 99, grace_ms=0) is None

    run_suite(subject, suite)


@EVERY
def test_a_removed_workload_leaves_nothing(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        await driver.ensure_running(make("serve"))
        await driver.remove_workload("web", 7)
        await driver.remove_workload("web", 7)
        assert await driver.observe() == ()
        seen = await driver.ensure_running(make("end 0"))
        assert seen.run == 1

    run_suite(subject, suite)


@EVERY
def test_what_cannot_run_is_named(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        with pytest.raises(EntrypointMissing):
            await driver.ensure_running(make("missing"))
        assert [one.status for one in await driver.observe()] in ([], ["created"])
        await driver.remove_run("web", 7, 1)
        gone = make("serve", run=2)
        with pytest.raises(ImageMissing):
            await driver.ensure_running(replace(gone, revision=8, image="sha256:" + "9" * 64))

    run_suite(subject, suite)


@BOTH
@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"user": "nobody-here"}, BadUser),
        ({"working_dir": "/etc/passwd"}, BadWorkingDir),
        ({"working_dir": "/etc/passwd/below"}, BadWorkingDir),
        ({"host_bind_paths": ("/nonexistent/path",)}, HostPathMissing),
        ({"host_binds": (HostBind("/nonexistent/path", "/data"),)}, HostPathMissing),
        ({"resources": Resources(memory_bytes=512 << 10)}, MemoryTooLow),
    ],
    ids=["user", "working-dir", "below-a-file", "bind-path", "bind", "memory"],
)
def test_a_field_that_cannot_work_is_named_and_leaves_room_for_the_next(
    subject: Any, fields: dict[str, Any], error: type[DriverError]
) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        for _ in range(2):
            with pytest.raises(error):
                await driver.ensure_running(make("serve", **fields))
        assert [one.status for one in await driver.observe()] in ([], ["created"])
        await driver.remove_run("web", 7, 1)
        assert await driver.observe() == ()
        assert (await driver.ensure_running(make("serve", run=2))).status == "running"

    run_suite(subject, suite)


@KERNELS
def test_who_is_not_root_listens_on_any_port_and_may_send_pings(subject: Any) -> None:
    script = "httpd -p 127.0.0.1:80 -h /tmp && set $(cat /proc/sys/net/ipv4/ping_group_range) && exit ${2#214748364}"

    async def suite(made: Subject) -> None:
        await made.driver.ensure_running(made.make("end", user="1000:1000", command=("sh", "-c", script)))
        assert (await ended(made.driver)).exit_code == 7

    run_suite(subject, suite)


@KERNELS
def test_what_is_mounted_below_another_place_is_seen_there_whatever_was_declared_first(subject: Any) -> None:
    script = "set -- $(df -k /srv/inner | tail -n 1); [ $2 = 1024 ] && exit 7"
    tmpfs = (Tmpfs("/srv/inner", 1 << 20), Tmpfs("/srv", 2 << 20))

    async def suite(made: Subject) -> None:
        await made.driver.ensure_running(made.make("end", tmpfs=tmpfs, command=("sh", "-c", script)))
        assert (await ended(made.driver)).exit_code == 7

    run_suite(subject, suite)


@pytest.mark.real
def test_on_the_machines_network_its_name_is_in_the_environment_too() -> None:
    async def suite(made: Subject) -> None:
        command = ("sh", "-c", "[ $HOSTNAME = $(hostname) ] && exit 7")
        await made.driver.ensure_running(made.make("end", network="host", command=command))
        assert (await ended(made.driver)).exit_code == 7

    run_suite(real, suite)


@EVERY
def test_a_run_is_asked_to_stop_with_its_own_signal(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make, ready = made.driver, made.make, made.ready
        await ready(await driver.ensure_running(make("serve", stop_signal="SIGUSR1")))
        stopped = await driver.stop("web", 7, 1, grace_ms=10_000)
        assert stopped is not None and stopped.exit_code == 138

    run_suite(subject, suite)


@EVERY
def test_a_death_for_want_of_memory_is_told_with_the_limit(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        await driver.ensure_running(make("hog", resources=LIMIT))
        end = await ended(driver)
        assert (end.exit_code, end.oom_kills, end.memory_limit_bytes) == (137, 1, 32 << 20)
        assert await driver.observe() == (end,)

    run_suite(subject, suite)


@EVERY
def test_a_child_killed_for_want_of_memory_is_told_while_its_run_goes_on(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        stream = aiter(driver.exits())
        assert isinstance(await anext(stream), Resync)
        await driver.ensure_running(make("suffer", resources=LIMIT))
        report = await anext(stream)
        assert isinstance(report, ObservedRun)
        assert (report.status, report.oom_kills, report.memory_limit_bytes) == ("running", 1, 32 << 20)
        assert await driver.observe() == (report,)

    run_suite(subject, suite)


@EVERY
def test_a_program_for_another_machine_is_recognised_by_its_end(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        await driver.ensure_running(make("foreign"))
        end = await ended(driver)
        assert end.exit_code == 1 and end.unexecutable.startswith("the command `/bin/foreign` cannot be executed")

    run_suite(subject, suite)


@EVERY
def test_the_stream_of_ends_begins_with_a_resync(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        stream = driver.exits()
        assert isinstance(await anext(aiter(stream)), Resync)
        await driver.ensure_running(make("end 3"))
        report = await anext(aiter(stream))
        assert isinstance(report, ObservedRun) and (report.run, report.exit_code) == (1, 3)

    run_suite(subject, suite)


@EVERY
def test_a_run_that_another_hand_kills_has_that_for_its_end(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        stream = driver.exits()
        assert isinstance(await anext(aiter(stream)), Resync)
        await made.kill(await driver.ensure_running(make("serve")))
        report = await anext(aiter(stream))
        assert isinstance(report, ObservedRun) and (report.exit_code, report.oom_kills) == (137, 0)

    run_suite(subject, suite)


@EVERY
def test_a_run_that_another_hand_removes_is_told_of_and_makes_room_for_the_next(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        stream = driver.exits()
        assert isinstance(await anext(aiter(stream)), Resync)
        seen = await driver.ensure_running(make("serve"))
        await made.take(seen)
        assert isinstance(await anext(aiter(stream)), Resync)
        assert await driver.observe() == ()
        await driver.remove_run("web", 7, 1)
        assert not made.lives(seen), "its process is gone, too"
        await driver.ensure_running(make("serve", run=2))
        assert [one.run for one in await driver.observe()] == [2]

    run_suite(subject, suite)


@EVERY
def test_what_the_driver_itself_removes_is_no_news(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        stream = driver.exits()
        assert isinstance(await anext(aiter(stream)), Resync)
        await driver.ensure_running(make("end 3"))
        assert isinstance(await anext(aiter(stream)), ObservedRun)
        await driver.remove_run("web", 7, 1)
        await driver.ensure_running(make("end 4", run=2))
        report = await anext(aiter(stream))
        assert isinstance(report, ObservedRun) and report.exit_code == 4

    run_suite(subject, suite)


@pytest.mark.real
def test_containers_outlive_containerd_and_no_exit_is_lost() -> None:
    async def main() -> None:
        import os

        async with asyncio.timeout(60), runtime() as made:
            (image,) = await made.images.import_archive(chunks(archive("demo:1")))
            serve = RunSpec("web", 7, 7, 1, image.platform_digest, command=SERVE)
            script = "trap 'exit 9' TERM; echo ready; while :; do sleep 1 & wait $!; done"
            job = RunSpec("job", 8, 8, 1, image.platform_digest, command=("sh", "-c", script))
            alive = await made.containers.ensure_running(serve)
            ending = (await made.containers.ensure_running(job)).pid
            log = made.containers.log_files("job", 8, 1)[0]
            await until(lambda: log.exists() and log.read_text() == "ready\n")
            resyncs = 0
            stream = aiter(made.containers.exits())
            assert isinstance(await anext(stream), Resync)
            os.kill(made.pid(), signal.SIGKILL)
            os.kill(ending, signal.SIGTERM)
            async for report in stream:
                resyncs += isinstance(report, Resync)
                seen = {one.name: one for one in await made.containers.observe()}
                if seen["job"].status == "stopped":
                    break
            assert resyncs >= 1
            assert seen["job"].exit_code == 9
            assert seen["web"] == alive

    asyncio.run(main())


@pytest.mark.real
def test_whoever_ends_a_container_without_containerd_asks_it_as_containerd_would() -> None:
    """Of another shape in another runc, nothing would be known of its signal."""
    script = "trap 'exit 9' USR1; trap '' TERM; echo ready; while :; do sleep 1 & wait $!; done"

    async def main() -> None:
        async with asyncio.timeout(60), runtime() as made:
            content = archive("demo:1", config={"StopSignal": "SIGUSR1"})
            (image,) = await made.images.import_archive(chunks(content))
            run = RunSpec("web", 7, 7, 1, image.platform_digest, command=("sh", "-c", script))
            await made.containers.ensure_running(run)
            log = made.containers.log_files("web", 7, 1)[0]
            await until(lambda: log.exists() and log.read_text() == "ready\n")
            assert await LastResort(made.run / "runc").stop("web", 7, grace_ms=10_000) == 1
            assert (await ended(made.containers)).exit_code == 9

    asyncio.run(main())
