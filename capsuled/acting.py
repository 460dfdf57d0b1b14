"""What a life does once the runtime answers: look at everything, and only then plan and act."""

import asyncio

from capsuled.boot.stages import RUNTIME
from capsuled.boot.system import System, stage_of
from capsuled.condition import State
from capsuled.drift_watch import DriftWatch
from capsuled.drivers import Drivers
from capsuled.emergency import Emergencies
from capsuled.engine import Engine
from capsuled.exec_stream import ExecStreams
from capsuled.health_watch import HealthWatch
from capsuled.image_cache import ImageCache
from capsuled.network_watch import NetworkWatch
from capsuled.observer import Observer
from capsuled.payload_watch import PayloadWatch
from capsuled.sealing import Vault
from capsuled.secret_watch import SecretWatch
from capsuled.secrets import Unsealer
from capsuled.services.capsule import About
from capsuled.stable_watch import StableWatch
from capsuled.volume_watch import VolumeWatch
from effects.actions import Actions
from effects.containerd.heartbeat import keep_answering
from effects.health.prober import MachineProber
from effects.images.actions import ImageActions
from effects.runner import Runner
from journal.clock import Clock


async def act(
    engine: Engine,
    drivers: Drivers,
    execs: ExecStreams,
    vault: Vault,
    clock: Clock,
    about: About,
    group: asyncio.TaskGroup,
    state: State,
    cache: ImageCache,
    emergencies: Emergencies,
    storage: VolumeWatch,
    system: System | None,
) -> None:
    """See above; until cancelled."""
    await storage.thaw()
    about.ask(drivers.connection.warnings)
    with stage_of(system, RUNTIME):
        about.containerd_version = await drivers.connection.ready()
    observer = Observer(engine, drivers.runs, clock, frozen=not state.acts)
    observer.ended_here = emergencies.ended_here
    watch = NetworkWatch(engine, drivers.network, clock, frozen=not state.acts)
    about.ask(watch.warnings)
    about.ask(storage.warnings)
    async with asyncio.TaskGroup() as inner:
        inner.create_task(execs.sweep(clock))
        inner.create_task(keep_answering(drivers.connection))
        inner.create_task(observer.run())
        inner.create_task(watch.run())
        inner.create_task(storage.run())
        await observer.synced.wait()
        await watch.look()
        await storage.look()
        inner.create_task(storage.follow())
        await SecretWatch(engine, drivers.secrets, clock, frozen=not state.acts).look()
        if state.acts:
            await cache.look()
            inner.create_task(cache.run())
            inner.create_task(cache.follow())
            payloads = PayloadWatch(engine, drivers.payloads, clock)
            await payloads.look()
            inner.create_task(payloads.run())
            inner.create_task(DriftWatch(engine, clock).run())
            images = ImageActions(engine, drivers.images, cache.pulls)
            actions = Actions(
                engine,
                drivers.runs,
                drivers.network,
                drivers.volumes,
                drivers.secrets,
                images,
                Unsealer(vault),
                clock,
                drivers.machines.guests,
                drivers.machines.driver.may_be_left,
            )
            runner = Runner(engine, actions, clock, group)
            observer.acting_on = storage.acting_on = runner.acting_on
            health = HealthWatch(engine, MachineProber(drivers.executor), clock)
            engine.on_change(health.wake)
            inner.create_task(health.run())
            stable = StableWatch(engine, clock)
            engine.on_change(stable.wake)
            inner.create_task(stable.run())
            engine.on_change(runner.wake)
            runner.open()
        if system is not None:
            await system.complete(engine)
