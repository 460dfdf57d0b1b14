"""Which sealed values there are: those of admitted calls, and only as long as something names them."""

import asyncio
import errno
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from capsule.v1 import workload_pb2 as pb
from capsuled.answers import Answers
from capsuled.caller import Caller
from capsuled.declare import Declarations
from capsuled.engine import Engine
from capsuled.resolve import Resolver
from capsuled.rpc import Refused
from capsuled.sealing import PREFIX, SealBroken, Vault
from capsuled.seals import Seals
from effects.errors import NoSpace
from effects.images.registry_twin import NOWHERE
from effects.images.twin import CacheWorld, TwinImages
from journal.durable import write_all_durably
from journal.entry import LOCAL
from journal.events import (
    CallDenied,
    EffectFailed,
    EffectStarted,
    RegistryConfigured,
    RegistryForgotten,
    WorkloadRemoved,
    WorkloadStarted,
)
from projections.intents import DEFAULT_SUBNET, Delete
from projections.refusals import refused
from projections.state import Machine
from projections.workloads import REVISIONS_KEPT
from tests.support.clock import HandClock
from tests.support.story import ALL
from tests.unit.capsuled.test_call_ids import IMAGE, KEY, Ledger


class House:
    """The way of an apply, with a sealed store on the disk and its sweep."""

    def __init__(self, directory: Path) -> None:
        clock = HandClock()
        self.directory = directory / "sealed"
        self.log = Ledger(clock)
        self.engine = Engine(self.log, Machine(), clock, ALL, KEY)
        self.vault = Vault(self.directory, bytes(32))
        self.seals = Seals(self.engine, self.vault)
        cache = CacheWorld()
        cache.bring(IMAGE, "sha256:" + "1" * 64)
        resolver = Resolver(TwinImages(cache), NOWHERE, self.vault, DEFAULT_SUBNET)
        self.declarations = Declarations(self.engine, resolver, Answers(self.engine, self.log))

    async def apply(self, name: str = "web", image: str = "app:1", **env: str) -> None:
        await self.asked(Caller(LOCAL, "Apply"), name, image, env)

    async def asked(self, caller: Caller, name: str, image: str, env: dict[str, str]) -> None:
        message = pb.Workload(name=name, container=pb.ContainerSpec(image=image, env=env))
        await self.declarations.apply([message], caller, expect_seq=None, pull=False, dry_run=False)

    def kept(self) -> list[str]:
        """The values that can be opened; whatever else lies there is told as it is called."""
        files = sorted(path.name for path in self.directory.iterdir()) if self.directory.exists() else []
        found = []
        for file in files:
            try:
                found.append(self.vault.open(file) if len(file) == 32 else file)
            except SealBroken:
                if (self.directory / file).exists():  # else a sweep took it just now
                    raise
        return sorted(found)

    async def settled(self, kept: list[str]) -> None:
        """Until the sweep has left just these."""
        for _ in range(1_000):
            if self.kept() == sorted(kept):
                return
            await asyncio.sleep(0.01)
        assert self.kept() == sorted(kept)

    async def held_up(self, count: int) -> None:
        """Until so many wait for the disk."""
        for _ in range(1_000):
            if self.log.waiting == count:
                return
            await asyncio.sleep(0.01)
        assert self.log.waiting == count


async def ended(task: asyncio.Task[None]) -> None:
    """A sweep is at work until it is cancelled, whatever it meets."""
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled(), task.exception()


def sweeping(story: Callable[[House], Awaitable[None]]) -> Callable[[Path, pytest.MonkeyPatch], None]:
    """A test in a house of its own, whose sweep is at work, and which remembers no revision but the present one."""

    def test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("projections.workloads.REVISIONS_KEPT", 1)

        async def main() -> None:
            house = House(tmp_path)
            task = asyncio.create_task(house.seals.run())
            await asyncio.sleep(0)
            try:
                await story(house)
            finally:
                await ended(task)

        asyncio.run(main())

    test.__name__ = story.__name__
    return test


@sweeping
async def test_nothing_of_a_refused_call_is_kept(house: House) -> None:
    for bad in ({"name": "Bad Name"}, {"image": "elsewhere.invalid/none:1"}):
        with pytest.raises(Refused):
            await house.apply(**bad, TOKEN="refused")
    assert house.kept() == []


@sweeping
async def test_a_dry_run_keeps_nothing(house: House) -> None:
    message = pb.Workload(name="web", container=pb.ContainerSpec(image="app:1", env={"TOKEN": "dry"}))
    await house.declarations.apply([message], Caller(LOCAL, "Apply"), expect_seq=None, pull=False, dry_run=True)
    assert house.kept() == []


@sweeping
async def test_a_value_is_kept_before_the_call_that_names_it_is_written(house: House) -> None:
    append, seen = house.log.append, []

    def watched(*arguments: object, **named: object) -> object:
        seen.append(house.kept())
        return append(*arguments, **named)  # type: ignore[arg-type]

    house.log.append = watched  # type: ignore[method-assign,assignment]
    await house.apply(TOKEN="secret")
    assert seen == [["secret"]]


@sweeping
async def test_a_value_that_was_replaced_goes(house: House) -> None:
    for value in ("first", "second", "third"):
        await house.apply(TOKEN=value, SAME="same")
        await house.settled([value, "same"])


def test_a_value_stays_as_long_as_a_revision_is_remembered_that_named_it(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        values = [f"value {number}" for number in range(REVISIONS_KEPT + 2)]
        for value in values:
            await house.apply(TOKEN=value)
            await house.seals.sweep()
        assert house.kept() == values[-REVISIONS_KEPT:]

    asyncio.run(main())


@sweeping
async def test_a_run_of_the_spec_before_keeps_its_values_until_it_is_gone(house: House) -> None:
    await house.apply(TOKEN="first")
    web = house.engine.machine.workloads["web"]
    house.engine.record((EffectStarted("StartRun", "web", web.uid, run=1, revision=web.revision),))
    house.engine.record((WorkloadStarted("web", web.uid, 1, web.revision, 7),))
    await house.apply(TOKEN="second")
    await house.seals.sweep()
    assert house.kept() == ["first", "second"]
    web = house.engine.machine.workloads["web"]
    house.engine.record((EffectStarted("StartRun", "web", web.uid, run=2, revision=web.revision),))
    await house.settled(["second"])


@sweeping
async def test_values_of_a_deleted_workload_go_with_it_but_for_those_that_others_have(house: House) -> None:
    await house.apply("web", TOKEN="mine", SHARED="ours")
    await house.apply("api", SHARED="ours")
    await house.engine.call(Delete("web"), Caller(LOCAL, "Delete"))
    await house.seals.sweep()
    assert house.kept() == ["mine", "ours"], "it is still being ended"
    web = house.engine.machine.workloads["web"]
    house.engine.record((WorkloadRemoved("web", web.uid),))
    await house.settled(["ours"])


@sweeping
async def test_a_registry_that_is_forgotten_takes_nothing_from_a_workload(house: House) -> None:
    await house.apply(CA="certificate")
    async with house.vault.kept(["password", "certificate"]):
        password, certificate = map(house.vault.name_of, ("password", "certificate"))
        house.engine.record((RegistryConfigured("registry.lan", "me", password, ca=certificate),))
    await house.seals.sweep()
    assert house.kept() == ["certificate", "password"]
    house.engine.record((RegistryForgotten("registry.lan"),))
    await house.seals.sweep()
    assert house.kept() == ["certificate"]


def test_what_was_left_over_goes_at_the_start(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        await house.apply(TOKEN="secret")
        house.vault.seal(["of a call that was cut before it was written"])
        (house.directory / f".{'0' * 32}.17").write_bytes(b"half")
        task = asyncio.create_task(house.seals.run())
        await house.settled(["secret"])
        await ended(task)

    asyncio.run(main())


@sweeping
async def test_no_value_goes_before_what_took_its_name_away_is_durable(house: House) -> None:
    await house.apply(TOKEN="first")
    house.log.gate.clear()
    replacing = asyncio.create_task(house.apply(TOKEN="second"))
    await house.held_up(2)  # the call and the sweep
    assert house.kept() == ["first", "second"], "a power cut now must find the first one"
    house.log.gate.set()
    await replacing
    await house.settled(["second"])


@sweeping
async def test_a_value_that_is_given_again_while_it_goes_stays(house: House) -> None:
    await house.apply(TOKEN="first")
    house.log.gate.clear()
    replacing = asyncio.create_task(house.apply(TOKEN="second"))
    await house.held_up(2)
    again = asyncio.create_task(house.apply("api", TOKEN="first"))
    await house.held_up(3)
    house.log.gate.set()
    await asyncio.gather(replacing, again)
    await house.seals.sweep()
    assert house.kept() == ["first", "second"]


@sweeping
async def test_a_kept_value_that_went_while_its_call_was_on_the_way_is_refused(house: House) -> None:
    await house.apply(TOKEN="first")
    (file,) = house.directory.iterdir()
    file.unlink()
    with pytest.raises(Refused, match="no such sealed value"):
        await house.apply(TOKEN=PREFIX + file.name, OTHER="x")
    await house.settled([])


@sweeping
async def test_a_kept_value_that_does_not_open_is_refused_and_given_again_with_the_value_itself(house: House) -> None:
    await house.apply(TOKEN="first")
    (file,) = house.directory.iterdir()
    file.write_bytes(b"")
    with pytest.raises(Refused, match="no such sealed value"):
        await house.apply(TOKEN=PREFIX + file.name)
    await house.apply(TOKEN="first")
    await house.apply(TOKEN=PREFIX + file.name)
    await house.settled(["first"])


@sweeping
async def test_whoever_could_not_start_for_a_value_that_did_not_open_may_when_it_is_given_again(house: House) -> None:
    await house.apply(TOKEN="first")
    (file,) = house.directory.iterdir()
    file.write_bytes(b"")
    uid = house.engine.machine.workloads["web"].uid
    house.engine.record((EffectFailed("StartRun", "web", uid, SealBroken.reason, "no", permanent=True),))
    woken: list[str] = []
    house.engine.on_change(lambda key, seq: woken.append(key))
    await house.apply(TOKEN="first")
    assert woken == ["web"] and house.engine.machine.workloads["web"].trouble is None
    assert house.vault.open(file.name) == "first"


@sweeping
async def test_many_values_are_kept_beside_the_loop(house: House) -> None:
    loop_thread, threads = threading.get_ident(), set()

    def watched(fd: int) -> None:
        threads.add(threading.get_ident())
        sync(fd)

    with pytest.MonkeyPatch.context() as patch:
        sync = os.fsync
        patch.setattr("os.fsync", watched)
        await house.apply(**{f"TOKEN{number}": f"value {number}" for number in range(200)})
    assert len(house.kept()) == 200 and threads and loop_thread not in threads


@sweeping
async def test_a_call_is_judged_by_what_is_when_its_values_are_kept(house: House) -> None:
    await house.apply(TOKEN="first")

    def slowly(*arguments: Any) -> None:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait()
        write(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        loop, begun, go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
        write = write_all_durably
        patch.setattr("capsuled.sealing.write_all_durably", slowly)
        applied = asyncio.create_task(house.apply(TOKEN="second"))
        await begun.wait()
        await house.engine.call(Delete("web"), Caller(LOCAL, "Delete"))
        sweep = asyncio.create_task(house.seals.sweep())
        go_on.set()
        with pytest.raises(Refused, match="is being deleted"):
            await applied
        await sweep
    await house.settled(["first"])


@sweeping
async def test_who_loses_his_right_while_values_are_kept_is_refused(house: House) -> None:
    said = iter((None, refused("PERMISSION_DENIED", "ROLE_LOWERED", "this key was lowered")))
    with pytest.raises(Refused, match="lowered"):
        await house.asked(Caller(LOCAL, "Apply", lost=lambda: next(said)), "web", "app:1", {"TOKEN": "secret"})
    assert isinstance(house.log.entries[-1][1], CallDenied) and not house.engine.machine.workloads
    await house.settled([])


@sweeping
async def test_a_sweep_takes_nothing_of_a_call_on_its_way(house: House) -> None:
    async with house.vault.kept(["on its way"]):
        await house.seals.sweep()
        await house.seals.sweep()
        assert house.kept() == ["on its way"]
    await house.settled([])


@sweeping
async def test_what_is_not_a_value_is_left_and_ends_nothing(house: House) -> None:
    await house.apply(TOKEN="first")
    (house.directory / "lost+found").mkdir()
    (house.directory / ("0" * 32)).mkdir()
    await house.apply(TOKEN="second")
    files = {"lost+found", "0" * 32, house.vault.name_of("second")}
    for _ in range(100):
        if set(os.listdir(house.directory)) == files:
            return
        await asyncio.sleep(0.01)
    assert set(os.listdir(house.directory)) == files


@sweeping
async def test_a_full_disk_is_told_as_one(house: House) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("capsuled.sealing.write_all_durably", full)
        with pytest.raises(NoSpace, match="the disk is full: a sealed value cannot be written"):
            await house.apply(TOKEN="secret")
    assert not house.engine.machine.workloads


@sweeping
async def test_variables_are_bounded(house: House) -> None:
    with pytest.raises(Refused, match="at most 1024 environment variables"):
        await house.apply(**{f"TOKEN{number}": "same" for number in range(1025)})
    await house.apply(**{f"TOKEN{number}": "same" for number in range(1024)})
    assert house.kept() == ["same"]
