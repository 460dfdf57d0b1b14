"""The one wiring function: everything is built here, handed what it needs, and ended in order."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import msgspec

from capsule.v1 import (
    capsule_pb2_grpc,
    history_pb2_grpc,
    identity_pb2_grpc,
    image_pb2_grpc,
    machine_pb2_grpc,
    volume_pb2_grpc,
    workload_pb2_grpc,
)
from capsuled.condition import Condition, State
from capsuled.declare import Declarations
from capsuled.emergency import Emergencies
from capsuled.engine import Engine
from capsuled.exec_stream import ExecStreams
from capsuled.host import capabilities, cgroup_parent, container_host, linux_network
from capsuled.identity import Identity, load_or_make
from capsuled.layout import Layout
from capsuled.logs.keeping import Logs
from capsuled.memory import Recollection, Snapshots
from capsuled.network_watch import NetworkWatch
from capsuled.observer import Observer
from capsuled.processes import supervise
from capsuled.resolve import Resolver
from capsuled.rpc import Interceptor, caller_of
from capsuled.sealing import Vault, derived
from capsuled.services.absent import LocalOnly, NoVolumes
from capsuled.services.capsule import About, CapsuleService
from capsuled.services.history import HistoryService
from capsuled.services.images import ImageService
from capsuled.services.machine import MachineService
from capsuled.services.workloads import WorkloadService
from capsuled.settings import Settings
from capsuled.startup import ClosedLog, Memory, open_memory, opening_events, recovery_drafts
from effects.containerd.config import paths_under, render
from effects.containerd.connection import Connection
from effects.containers.containerd_driver import ContainerdDriver
from effects.containers.containerd_exec import ContainerdExecutor
from effects.errors import DriverError
from effects.images.containerd_store import ContainerdImages
from effects.network.linux_driver import LinuxNetwork
from effects.runner import Runner
from journal.clock import Clock, SystemClock
from journal.entry import SYSTEM
from journal.errors import JournalFull
from journal.events import CallRead, DaemonStopped
from journal.sequencer import Draft

log = logging.getLogger(__name__)

READS = frozenset(
    {
        "CapsuleService/GetInfo",
        "CapsuleService/StreamLogs",
        "HistoryService/List",
        "HistoryService/Show",
        "HistoryService/Replay",
        "HistoryService/Verify",
        "HistoryService/Stats",
        "HistoryService/Export",
        "IdentityService/KeyList",
        "IdentityService/WhoAmI",
        "ImageService/List",
        "MachineService/Watch",
        "VolumeService/Get",
        "VolumeService/List",
        "WorkloadService/Get",
        "WorkloadService/List",
        "WorkloadService/Logs",
    }
)
MESSAGE_BYTES = 4 << 20
STOP_GRACE_S = 1.0


class Drivers(msgspec.Struct):
    """The outside world's side."""

    connection: Connection
    containers: ContainerdDriver
    executor: ContainerdExecutor
    images: ContainerdImages
    network: LinuxNetwork


async def run(layout: Layout, settings: Settings, log_file: Path, stopping: asyncio.Event) -> None:
    """Serve until `stopping` is set or the journal fails. Raises JournalError when the state cannot be opened."""
    clock = SystemClock()
    identity = load_or_make(layout.identity)
    containerd = _prepare_containerd(layout)
    background = asyncio.ensure_future(supervise(*containerd))
    try:
        memory = await open_memory(layout.journal, clock)
        clock = SystemClock(floor_ns=memory.machine.at)
        await _serve(layout, settings, log_file, stopping, clock, identity, memory)
    finally:
        background.cancel()
        await asyncio.gather(background, return_exceptions=True)


def _prepare_containerd(layout: Layout) -> tuple[list[str], Path]:
    paths = paths_under(layout.containerd, layout.run)
    layout.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    layout.daemon_logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    layout.containerd.mkdir(parents=True, exist_ok=True, mode=0o700)
    paths.config.write_text(render(paths))
    return ["containerd", "--config", str(paths.config)], layout.daemon_logs / "containerd.log"


async def _serve(
    layout: Layout,
    settings: Settings,
    log_file: Path,
    stopping: asyncio.Event,
    clock: Clock,
    identity: Identity,
    memory: Memory,
) -> None:
    journal = memory.journal
    args_key = derived(identity.machine_key, b"capsule call arguments 1")
    engine = Engine(journal or ClosedLog(memory.why), memory.machine, clock, capabilities(), args_key)
    drivers = _drivers(layout, settings, identity)
    vault = Vault(layout.sealed, identity.machine_key)
    about = About(identity, layout.state, memory.state)
    try:
        async with asyncio.TaskGroup() as group:
            if journal is not None:
                await _open_life(engine, memory, clock)
            snapshots = None if journal is None else Snapshots(journal, memory.snapshot_seq)
            logs = Logs(engine, layout.logs, log_file, clock, group)
            server = _server(layout, engine, memory, drivers, vault, clock, about, logs)
            await server.start()
            log.info("serving on %s", layout.socket)
            tasks = [
                group.create_task(_act(engine, drivers, vault, clock, about, group, memory.state)),
                group.create_task(_keep_snapshots(engine, snapshots)),
            ]
            await _until_end(stopping, memory)
            await server.stop(STOP_GRACE_S)
            logs.close()
            for task in asyncio.all_tasks():
                if task in tasks or task.get_name().startswith("lane "):
                    task.cancel()
        if journal is not None:
            with contextlib.suppress(JournalFull):
                engine.record((DaemonStopped(reason="asked to"),), reserved=True, actor=SYSTEM)
            assert snapshots is not None
            snapshots.take(engine.machine)
    finally:
        await drivers.connection.close()
        await drivers.network.close()
        if journal is not None:
            await journal.close()


async def _open_life(engine: Engine, memory: Memory, clock: Clock) -> None:
    journal = memory.journal
    assert journal is not None
    try:
        drafts = recovery_drafts(journal)
        engine.record(opening_events(engine.machine, clock, os.getpid()), reserved=True, actor=SYSTEM)
        if drafts:
            engine.commit(drafts, reserved=True)
        await engine.durable()
        if drafts:
            journal.side_log.clear()
    except JournalFull as full:
        memory.state = State(Condition.READ_ONLY, str(full))


def _drivers(layout: Layout, settings: Settings, identity: Identity) -> Drivers:
    connection = Connection(paths_under(layout.containerd, layout.run).address)
    images = ContainerdImages(connection, layout.spool)
    containers = ContainerdDriver(
        connection, images.unpacker, container_host(cgroup_parent(identity)), layout.logs, layout.runc
    )
    executor = ContainerdExecutor(connection, layout.execs)
    return Drivers(connection, containers, executor, images, linux_network(layout, settings, identity))


def _server(
    layout: Layout,
    engine: Engine,
    memory: Memory,
    drivers: Drivers,
    vault: Vault,
    clock: Clock,
    about: About,
    logs: Logs,
) -> grpc.aio.Server:
    journal = memory.journal
    server = grpc.aio.server(
        interceptors=[Interceptor(_noter(memory))],
        options=[
            ("grpc.max_receive_message_length", MESSAGE_BYTES),
            ("grpc.max_send_message_length", MESSAGE_BYTES),
            # Clients in the field ping every 15 s, with and without calls in flight.
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
            ("grpc.keepalive_permit_without_calls", 1),
        ],
    )
    resolver = Resolver(drivers.images, vault, drivers.network.subnet)
    declarations = Declarations(engine, resolver, Recollection(memory.reader))
    emergencies = Emergencies(engine, drivers.containers, clock, None if journal is None else journal.side_log)
    workloads = WorkloadService(engine, declarations, logs.streams, ExecStreams(engine, drivers.executor), emergencies)
    workload_pb2_grpc.add_WorkloadServiceServicer_to_server(workloads, server)
    machine_pb2_grpc.add_MachineServiceServicer_to_server(MachineService(engine, declarations), server)
    image_pb2_grpc.add_ImageServiceServicer_to_server(ImageService(engine, drivers.images), server)
    capsule_pb2_grpc.add_CapsuleServiceServicer_to_server(
        CapsuleService(about, engine, _head_of(memory), logs.own), server
    )
    volume_pb2_grpc.add_VolumeServiceServicer_to_server(NoVolumes(), server)
    identity_pb2_grpc.add_IdentityServiceServicer_to_server(LocalOnly(about.identity), server)
    if memory.environment is not None and memory.reader is not None:
        history = HistoryService(memory.environment, memory.reader, engine)
        history_pb2_grpc.add_HistoryServiceServicer_to_server(history, server)
    _bind(server, layout.socket)
    return server


def _bind(server: grpc.aio.Server, socket: Path) -> None:
    """The journal's lock is held: a socket that is there is a dead daemon's."""
    socket.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        server.add_insecure_port(f"unix:{socket}")
    finally:
        os.umask(before)


def _head_of(memory: Memory) -> Callable[[], tuple[int, str]]:
    def head() -> tuple[int, str]:
        last = None if memory.reader is None else memory.reader.last()
        return (0, "") if last is None else (last.header.seq, last.hash.hex())

    return head


def _noter(memory: Memory) -> Callable[[str, Any, Any], None]:
    """Reads go into the audit stream; what acts stands among the facts, and dry runs nowhere."""

    def note(method: str, request: Any, context: Any) -> None:
        if memory.journal is None or method not in READS:
            return
        caller = caller_of(context, method.replace("/", "."))
        event = CallRead(method=caller.method, object=getattr(request, "name", ""), login=caller.login)
        memory.journal.note(Draft(event, caller.actor))

    return note


async def _act(
    engine: Engine,
    drivers: Drivers,
    vault: Vault,
    clock: Clock,
    about: About,
    group: asyncio.TaskGroup,
    state: State,
) -> None:
    """Once the runtime answers: look at everything, and only then plan and act."""
    about.containerd_version = await drivers.connection.ready()
    try:
        await drivers.executor.sweep()
    except DriverError as error:
        log.warning("leftovers of exec could not be swept: %s", error)
    observer = Observer(engine, drivers.containers, clock, frozen=not state.acts)
    watch = NetworkWatch(engine, drivers.network, frozen=not state.acts)
    async with asyncio.TaskGroup() as inner:
        inner.create_task(observer.run())
        inner.create_task(watch.run())
        await observer.synced.wait()
        await watch.look()
        if state.acts:
            runner = Runner(engine, drivers.containers, drivers.network, vault.environment, clock, group)
            observer.acting_on = runner.acting_on
            watch.wake = runner.wake
            engine.on_change(runner.wake)
            runner.open()


async def _keep_snapshots(engine: Engine, snapshots: Snapshots | None) -> None:
    if snapshots is not None:
        async for machine in engine.changes():
            snapshots.consider(machine)


async def _until_end(stopping: asyncio.Event, memory: Memory) -> None:
    """Return when asked to stop; raise JournalFailed when a commit failed."""
    waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(stopping.wait())]
    if memory.journal is not None:
        waits.append(memory.journal.failed)
    done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    waits[0].cancel()
    for one in done:
        one.result()
