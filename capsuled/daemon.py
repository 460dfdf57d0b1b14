"""The one wiring function: everything is built here, handed what it needs, and ended in order."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from capsuled import believed, journal_room
from capsuled.abilities import RuntimeLimits, abilities, container_host, runtime_limits
from capsuled.acting import act
from capsuled.believed import host_believed_ns, host_time, or_last
from capsuled.boot.ground import Ground
from capsuled.boot.growth import Growth
from capsuled.boot.stages import API
from capsuled.boot.system import System, stage_of
from capsuled.condition import Condition
from capsuled.copy_streams import CopyStreams
from capsuled.drivers import make_drivers
from capsuled.emergency import Emergencies
from capsuled.engine import Engine
from capsuled.exec_stream import ExecStreams
from capsuled.first_entries import Opened, open_life
from capsuled.front import Doorway, House, make_doorway, make_servers
from capsuled.growing import Growing
from capsuled.handover import Handover
from capsuled.host import capabilities, cgroup_parent, linux_network, volume_storage
from capsuled.host import memory as memory_of_machine
from capsuled.host_network import HostPorts
from capsuled.hostname import own_hostname
from capsuled.identity import Identity, load_or_make
from capsuled.image_cache import ImageCache
from capsuled.lan import interfaces, places, reaches_out
from capsuled.layout import Layout
from capsuled.logs.keeping import Logs
from capsuled.machines import microvms_here, with_version
from capsuled.memory import Snapshots, unheard
from capsuled.metrics.by_hand import MetricsByHand
from capsuled.name_server import NameServer
from capsuled.power import Power
from capsuled.readiness import tell_ready
from capsuled.registries import RegistryAccess
from capsuled.runtime import keep_containerd
from capsuled.sampler import Sampler
from capsuled.sealing import Vault, derived
from capsuled.seals import Seals
from capsuled.services.capsule import About
from capsuled.settings import Settings
from capsuled.startup import ClosedLog, Memory, open_memory, open_side_log
from capsuled.state_disk import BY_A_REBOOT, BY_HAND, StateDisk
from capsuled.tls import Certificate, load_or_make_certificate
from capsuled.updates.beside import engine_beside, entries_behind, numbered_apart
from capsuled.updates.fitting import Fitted, begin_beside, fit, runtime_settled, try_out
from capsuled.updates.noted import stands_in
from capsuled.updates.runtime_files import Settled, crowded
from capsuled.volume_watch import VolumeWatch
from effects.containerd.config import paths_under
from effects.containers.last_resort import LastResort
from effects.images.registry_http import HttpRegistry
from effects.images.room import free_below
from effects.microvms.acceleration import Finding
from effects.microvms.meter import MicroVMMeter
from effects.stats.machine_meter import MachineMeter
from effects.volumes.holders import HolderGuests
from journal.clock import Clock, SystemClock
from journal.entry import SYSTEM
from journal.errors import JournalError, JournalFull
from journal.events import DaemonStopped
from journal.verify import Report
from projections.operators import HANDLERS

if TYPE_CHECKING:
    from capsuled.metrics.serving import Endpoint

_STORAGE_S = 5.0
"""For how long what an earlier life left in the storage may hold up the servers."""

log = logging.getLogger(__name__)


async def run(
    layout: Layout,
    settings: Settings,
    log_file: Path,
    stopping: asyncio.Event,
    proof: Awaitable[Report | None],
    read_only: str = "",
    ground: Ground | None = None,
) -> bool:
    """Serve until `stopping` is set or the journal fails; whether another life is to begin at once. The journal's
    directory is held by the caller, who has its tail proven meanwhile (`proof`); `read_only` says why nothing may be
    written to it, if nothing may. `ground`: what the operating system's boot left.

    Raises JournalError when the state cannot be opened, JournalFailed and JournalFull when it cannot be written any
    more, and OSError when an address cannot be listened on.
    """
    system = None if ground is None else System(ground)
    clock = SystemClock()
    with stage_of(system, "identity"):
        identity = load_or_make(layout.identity)
        certificate = load_or_make_certificate(layout.certificate, identity.capsule_id)
    paths = paths_under(layout.containerd, layout.run)
    settled = Settled() if system is None else await runtime_settled(system, paths.root, layout.updates)
    runtime = partial(keep_containerd, paths, log_file.with_name("containerd.log"), core_limit=settings.core_limit)
    background = asyncio.ensure_future(runtime() if settled.starts else asyncio.sleep(0))
    limits = asyncio.ensure_future(runtime_limits())
    again = False

    def begin_anew() -> None:
        nonlocal again
        again = True
        stopping.set()

    try:
        with stage_of(system, "memory"):
            slot, proceeds = ("", unheard) if system is None else (system.slot, system.link.proceeds)
            memory = await open_memory(layout.journal, clock, proof, read_only, slot, proceeds)
            memory.side_log = open_side_log(layout.side_log)
        if system is None:
            memory.believed_ns = or_last(host_believed_ns, memory.reader, memory.machine.at)
        else:
            system.knows_time(memory.reader, memory.machine.at)
            memory.believed_ns = system.believed_ns
        clock = SystemClock(memory.machine.at, memory.believed_ns)
        await _serve(
            layout, settings, log_file, stopping, clock, identity, memory, certificate, system, limits, begin_anew
        )
        return again
    except ExceptionGroup as several:
        raise _decisive(several) from several
    finally:
        background.cancel()
        limits.cancel()
        await asyncio.gather(background, limits, return_exceptions=True)


async def _serve(
    layout: Layout,
    settings: Settings,
    log_file: Path,
    stopping: asyncio.Event,
    clock: Clock,
    identity: Identity,
    memory: Memory,
    certificate: Certificate,
    system: System | None,
    limits: Awaitable[RuntimeLimits],
    begin_anew: Callable[[], None],
) -> None:
    journal = memory.journal
    args_key = derived(identity.machine_key, b"capsule call arguments 1")
    microvms = microvms_here(layout)
    able = capabilities() | (frozenset() if microvms.lacks else {"microvm"})
    engine = Engine(journal or ClosedLog(memory.why), memory.machine, clock, able, args_key)
    with stage_of(system, "abilities"):
        lacking = await limits
    host = container_host(cgroup_parent(identity.capsule_id), lacking)
    vault = Vault(layout.sealed, identity.machine_key, identity.naming_key)
    registry = HttpRegistry(RegistryAccess(engine, vault))
    network = linux_network(layout, settings, identity.capsule_id)
    volumes, porter = volume_storage(layout, settings)
    drivers = make_drivers(layout, host, network, volumes, registry, clock.boot_id)
    machines = drivers.machines
    drivers.volumes.uses.guests = HolderGuests(engine, machines.guests)
    about = About(identity, layout.state, memory.state)
    about.microvms = microvms
    machines.acceleration.found = partial(_accelerated, about)
    about.bridge = settings.bridge
    about.pool = settings.pool
    fitted = None
    if system is None:
        about.ask(partial(believed.warnings, clock, memory.machine.at, lambda: engine.machine.at))
    else:
        system.introduce(about)
        fitted = _fitted(system, engine, memory, clock, about, layout)
    if lacking.unfiltered:
        about.warn(f"{lacking.unfiltered}: containers run without a seccomp profile")
    execs = ExecStreams(engine, drivers.executor, settings.commands)
    names = NameServer(engine, drivers.network.subnet, drivers.network.nameserver)
    about.ask(names.warnings)
    host_ports = HostPorts(lambda: about.addresses, drivers.network.nameserver)
    about.ask(partial(_taken, host_ports, engine))
    try:
        async with asyncio.TaskGroup() as group:
            opened = Opened()
            if journal is not None:
                with stage_of(system, "first entries"):
                    opened = await open_life(
                        engine, memory, clock, layout, drivers.network.subnet, system, fitted, about
                    )
            elif system is not None and fitted is not None and fitted.engine is not engine:
                opened = Opened(await begin_beside(fitted, system, clock, layout, about))
            snapshots = None if journal is None else Snapshots(journal, memory.snapshot_seq)
            if snapshots is not None:
                engine.on_commit(snapshots.consider)
            logs = Logs(engine, layout.logs, log_file, clock, group)
            about.ask(logs.warnings)
            cache = ImageCache(engine, drivers.images, registry, clock)
            disk = StateDisk(layout.state, BY_HAND if system is None else BY_A_REBOOT)
            about.ask(disk.warnings)
            if journal is not None:
                about.journal_room = partial(journal_room.told, journal)
                about.ask(partial(journal_room.warnings, journal))
            last_resort = LastResort(layout.runc)
            emergencies = Emergencies(engine, drivers.runs, last_resort, clock, memory.side_log, opened.told)
            meter = MachineMeter(drivers.connection, host, drivers.network.port_of)
            house = House(
                layout=layout,
                engine=engine,
                memory=memory,
                emergencies=emergencies,
                execs=execs,
                making=lambda: machines.maker.step,
                paths=drivers.paths,
                copies=CopyStreams(engine, drivers.copier, Handover(layout.handover)),
                images=drivers.images,
                cache=cache,
                volumes=drivers.volumes,
                porter=porter,
                registry=registry,
                subnet=drivers.network.subnet,
                abilities=abilities(host, memory_of_machine()["MemTotal"], about.microvms.lacks),
                host_ports=host_ports,
                logs=logs,
                sampler=Sampler(
                    engine,
                    {"container": meter, "microvm": MicroVMMeter(meter, machines.agents, machines.places.layer)},
                    clock,
                ),
                vault=vault,
                seals=(seals := Seals(engine, vault)),
                clock=clock,
                judged_ns=host_time(memory.believed_ns) if system is None else clock.wall_ns,
                about=about,
                certificate=certificate,
                power=None if system is None else Power(engine, system.link),
                growing=None if system is None else Growing(engine, Growth(system.root)),
                updates=None if fitted is None else fitted.updates,
                begin_anew=begin_anew,
            )
            storage = VolumeWatch(engine, drivers.volumes, clock, frozen=not memory.state.acts)
            with stage_of(system, "storage"):
                await storage.begin(_STORAGE_S)
            with stage_of(system, API):
                doorway = make_doorway(house)
                servers = make_servers(house, doorway, settings.listen)
                await servers.start()
            metrics = await _metrics(house, settings)
            _tell(about, layout, settings, engine)
            tell_ready(settings.notify)
            if snapshots is not None:
                snapshots.weigh(engine.machine)
            tasks = [
                group.create_task(doorway.roster.keep()),
                group.create_task(
                    act(
                        engine,
                        drivers,
                        execs,
                        vault,
                        clock,
                        about,
                        group,
                        memory.state,
                        cache,
                        emergencies,
                        storage,
                        system,
                    )
                ),
                group.create_task(names.run()),
                group.create_task(drivers.images.leases.run()),
            ]
            if not microvms.lacks:
                tasks.append(group.create_task(_name_backend(about)))
            if journal is not None:
                tasks.append(group.create_task(emergencies.run()))
                tasks.append(group.create_task(seals.run()))
            if system is not None and fitted is not None:
                by_hand = MetricsByHand(layout.by_hand / "metrics", partial(_endpoint, house))
                about.ask(by_hand.warnings)
                tasks.append(group.create_task(by_hand.run()))
                adopted = partial(_adopted, doorway)
                tasks.append(group.create_task(system.keep(engine, fitted.engine, about, layout, adopted, disk)))
            if system is not None and fitted is not None and (journal is not None or fitted.engine is not engine):
                trial = try_out(fitted, system, engine, clock, layout, about, opened.stray, memory.side_log)
                tasks.append(group.create_task(trial))
            if reaches_out(about.addresses):
                tasks.append(group.create_task(_announce(about, settings, engine, doorway)))
            try:
                await _until_end(stopping, memory)
                await execs.stop()
            finally:
                if metrics is not None:
                    await metrics.stop()
                await servers.stop()
                doorway.denials.close()
                logs.close()
            for task in asyncio.all_tasks():
                if task in tasks or task.get_name().startswith("lane "):
                    task.cancel()
        if journal is not None:
            with contextlib.suppress(JournalFull):
                engine.record((DaemonStopped(reason="asked to"),), vital=True, actor=SYSTEM)
            assert snapshots is not None
            snapshots.take(engine.machine)
    finally:
        await drivers.volumes.close()
        await machines.close()
        await drivers.payloads.close()
        await drivers.connection.close()
        await drivers.network.close()
        await registry.close()
        if journal is not None:
            await journal.close()
        if memory.side_log is not None:
            memory.side_log.close()


def _fitted(system: System, engine: Engine, memory: Memory, clock: Clock, about: About, layout: Layout) -> Fitted:
    """Updates; also where the journal takes nothing, as long as the side log does."""
    room = partial(crowded, paths_under(layout.containerd, layout.run).root, free_below(layout.state))
    if memory.journal is not None or memory.side_log is None:
        return fit(system, engine, clock, memory.reader, about, room)
    machine, able = memory.machine, engine.capabilities
    if memory.reader is None:
        machine = numbered_apart(machine, clock)
    behind, stands = entries_behind(memory.reader, machine.seq), stands_in(memory.reader)
    own = engine_beside(machine, behind, memory.side_log, stands, memory.why, clock, system.slot, able)
    known = memory.reader is not None and memory.state.condition is not Condition.DAMAGED
    return fit(system, own, clock, memory.reader, about, room, beside=True, keys_known=known)


async def _metrics(house: House, settings: Settings) -> "Endpoint | None":
    """Where somebody may ask for them."""
    if not settings.metrics:
        return None
    endpoint = _endpoint(house)
    await endpoint.start(settings.metrics)
    return endpoint


def _endpoint(house: House) -> "Endpoint":
    """Only where it is wanted is the code for it loaded."""
    from capsuled.metrics.serving import Endpoint

    return Endpoint(house)


async def _name_backend(about: About) -> None:
    told = await with_version(about.microvms)
    about.microvms = msgspec.structs.replace(told, accelerator=about.microvms.accelerator)


def _accelerated(about: About, found: Finding) -> None:
    about.microvms = msgspec.structs.replace(about.microvms, accelerator=found.accelerator)


async def _taken(host_ports: HostPorts, engine: Engine) -> tuple[str, ...]:
    return await host_ports.warnings(engine.machine)


def _decisive(several: ExceptionGroup[Exception]) -> Exception:
    """Of what went wrong at the same time, the journal's word."""
    journals, _ = several.split(JournalError)
    first: Exception | ExceptionGroup[Exception] = journals or several
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    return first


def _tell(about: About, layout: Layout, settings: Settings, engine: Engine) -> None:
    """What an operator needs to reach the machine, in the log and on standard output."""
    where = " and ".join((*about.addresses, str(layout.socket)))
    log.info("serving on %s, certificate %s", where, about.fingerprint)
    lines = [f"{about.identity.short_id} serves on {where}", f"fingerprint {about.fingerprint}"]
    left_s = engine.claimable_s() if about.condition.acts else 0
    if left_s and about.addresses:
        address = about.addresses[0]
        with contextlib.suppress(OSError, IndexError):
            address = str(places(about.addresses, interfaces(), settings.bridge)[0])
        lines.append(f"not adopted yet: for {-(-left_s // 60)} minutes, `capsulectl adopt {address}` does it")
    print("\n".join(lines), flush=True)


async def _announce(about: About, settings: Settings, engine: Engine, doorway: Doorway) -> None:
    """On the LAN, until cancelled. Only then is the library for it loaded."""
    from capsuled.announcement import Announcement, Subject

    def subject() -> Subject:
        return Subject(about.identity, own_hostname(), _adopted(doorway))

    changes = partial(engine.changes, *HANDLERS)
    await Announcement(subject, about.addresses, settings.bridge, changes).run()


def _adopted(doorway: Doorway) -> bool:
    return bool(doorway.roster.operators())


async def _until_end(stopping: asyncio.Event, memory: Memory) -> None:
    """Return when asked to stop; raise JournalFailed when a commit failed."""
    waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(stopping.wait())]
    if memory.journal is not None:
        waits.append(memory.journal.failed)
    done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    waits[0].cancel()
    for one in done:
        one.result()
