"""The front of the house: doors, servers and servicers, each built once and handed what it needs."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
import msgspec
from grpc_health.v1 import health_pb2_grpc

from capsule.v1 import (
    capsule_pb2_grpc,
    debug_pb2_grpc,
    disk_pb2_grpc,
    drift_pb2_grpc,
    history_pb2_grpc,
    identity_pb2_grpc,
    image_cache_pb2_grpc,
    image_pb2_grpc,
    machine_pb2_grpc,
    move_pb2_grpc,
    power_pb2_grpc,
    registry_pb2_grpc,
    retention_pb2_grpc,
    rollback_pb2_grpc,
    secret_pb2_grpc,
    stats_pb2_grpc,
    update_pb2_grpc,
    volume_pb2_grpc,
    workload_pb2_grpc,
)
from capsule.v1.history_pb2_grpc import HistoryServiceServicer
from capsuled.addresses import Listen
from capsuled.answers import Answers
from capsuled.call_entries import OBJECT_CHARS
from capsuled.copy_streams import CopyStreams
from capsuled.debug import DebugSessions
from capsuled.declare import Declarations
from capsuled.denials import Denials, Rate
from capsuled.doors import LocalDoor, NetworkDoor
from capsuled.emergency import Emergencies
from capsuled.engine import Engine
from capsuled.exec_stream import ExecStreams
from capsuled.growing import Growing
from capsuled.heads import Heads
from capsuled.host import allocated_bytes
from capsuled.host_network import HostPorts
from capsuled.image_cache import ImageCache
from capsuled.info import Info
from capsuled.interceptor import Interceptor
from capsuled.layout import Layout
from capsuled.limits import Limits
from capsuled.listening import bind_socket, bind_tls, local_server, network_server
from capsuled.live import LiveStreams
from capsuled.logs.keeping import Logs
from capsuled.memory import Recollection
from capsuled.methods import Adds, Methods
from capsuled.power import Power
from capsuled.reflection import add_reflection
from capsuled.replays import ReplayGuard
from capsuled.resolve import Resolver
from capsuled.retention import Retention
from capsuled.rollbacks import Rollbacks
from capsuled.roster import Roster
from capsuled.rpc import caller_of
from capsuled.sampler import Sampler
from capsuled.sealing import Vault
from capsuled.seals import Seals
from capsuled.services.capsule import About, CapsuleService
from capsuled.services.debug import DebugService
from capsuled.services.disk import DiskService
from capsuled.services.drift import DriftService
from capsuled.services.health import HealthService
from capsuled.services.history import HistoryService, UnreadableHistory
from capsuled.services.identity import IdentityService, Me, OperatorService
from capsuled.services.images import ImageCacheService, ImageService
from capsuled.services.machine import MachineService
from capsuled.services.move import MoveService
from capsuled.services.power import PowerService
from capsuled.services.registries import RegistryService
from capsuled.services.retention import RetentionService
from capsuled.services.rollback import RollbackService
from capsuled.services.secrets import SecretService
from capsuled.services.stats import StatsService
from capsuled.services.updates import UpdateService
from capsuled.services.volume_data import VolumeDataService
from capsuled.services.volumes import SnapshotService, VolumeService
from capsuled.services.workloads import WorkloadService
from capsuled.shares import Shares
from capsuled.startup import Memory, used_tokens
from capsuled.tls import Certificate
from capsuled.updates.updates import Updates
from capsuled.volume_rollbacks import VolumeRollbacks
from effects.host_paths import HostPaths
from effects.images.protocol import ImageStore
from effects.images.registry import Registry
from effects.volumes.protocol import VolumeDriver, VolumePorter
from journal.clock import Clock
from journal.events import CallRead
from journal.reader import Reader
from journal.sequencer import Draft
from projections.abilities import Abilities
from projections.fold import FOLD_VERSION

STOP_GRACE_S = 1.0
CLOSES_S = 5.0
"""What a call has to put away, as a copy's process, or a snapshot that was taken for it, goes well within this."""
HEALTH = "grpc.health.v1.Health"


class House(msgspec.Struct):
    """What the servicers work with. The daemon builds one, and so does tests/support/house.py, on twins. `making` says
    how far the making of what microVMs boot is."""

    layout: Layout
    engine: Engine
    memory: Memory
    emergencies: Emergencies
    execs: ExecStreams
    copies: CopyStreams
    images: ImageStore
    cache: ImageCache
    volumes: VolumeDriver
    porter: VolumePorter
    registry: Registry
    subnet: str
    abilities: Abilities
    host_ports: HostPorts
    logs: Logs
    sampler: Sampler
    vault: Vault
    seals: Seals
    clock: Clock
    judged_ns: Callable[[], int]
    about: About
    certificate: Certificate
    begin_anew: Callable[[], None]
    power: Power | None = None
    growing: Growing | None = None
    making: Callable[[], str] = str
    paths: HostPaths = msgspec.field(default_factory=HostPaths)
    updates: Updates | None = None


class Doorway(msgspec.Struct):
    """What stands between a client and the servicers: who may come in, who is in, who was sent away."""

    roster: Roster
    guard: ReplayGuard
    live: LiveStreams
    denials: Denials


class Servers(msgspec.Struct):
    """The socket's, and the network's where there is one."""

    local: grpc.aio.Server
    network: grpc.aio.Server | None
    health: HealthService
    shares: Shares
    live: LiveStreams

    async def start(self) -> None:
        """Serve."""
        for server in filter(None, (self.local, self.network)):
            await server.start()
        self.shares.start()

    async def stop(self) -> None:
        """Give calls a moment to end, and those that had to be ended the time to put away what they had."""
        self.health.stop()
        self.shares.stop()
        await asyncio.gather(*(one.stop(STOP_GRACE_S) for one in (self.local, self.network) if one is not None))
        await self.live.closed(CLOSES_S)


def make_doorway(house: House, rate: Rate | None = None) -> Doorway:
    """The doorway as this life of the daemon begins: tokens that an earlier one took are taken."""
    memory, engine, clock = house.memory, house.engine, house.clock
    live = LiveStreams()
    roster = Roster(house.layout.operators_cache, engine, live, trusted=memory.journal is not None)
    house.about.ask(roster.warnings)
    guard = ReplayGuard()
    if memory.reader is not None:
        take_over(guard, memory.reader, house.judged_ns(), memory.believed_ns)
    return Doorway(roster, guard, live, Denials(engine, clock, rate))


def take_over(guard: ReplayGuard, reader: Reader, now_ns: int, believed_ns: int) -> None:
    """Tokens that are too old now may be good again once the clock, which is fast, is set: it goes back to
    `believed_ns` at most, or to what it is now. Where `now_ns` is less than the journal's entries have, these are read
    as well: a token's own time is what counts."""
    since_ns = min(now_ns, believed_ns or now_ns)
    guard.remember(used_tokens(reader, since_ns), since_ns / 1e9)


def make_servers(house: House, doorway: Doorway, listen: Listen, limits: Limits = Limits()) -> Servers:
    """Bound, not yet serving. Raises OSError for an address that cannot be had."""
    about, clock = house.about, house.clock
    network_door = NetworkDoor(about.identity.capsule_id, doorway.roster.operators, doorway.guard, house.judged_ns)

    def interceptor(door: LocalDoor | NetworkDoor) -> Interceptor:
        note, unknown = _noter(house.memory), house.memory.unknown
        return Interceptor(
            methods, door, house.engine, doorway.denials, doorway.live, note, clock, limits, heads, unknown
        )

    methods, health, heads = Methods(), HealthService(), Heads(house.memory.reader)
    names = _add_services(house, doorway, methods)
    health.serve(names)
    health_pb2_grpc.add_HealthServicer_to_server(health, methods)
    add_reflection((*names, HEALTH), methods)
    local = local_server(interceptor(LocalDoor()), limits)
    network = network_server(interceptor(network_door), limits) if listen.addresses else None
    about.fingerprint = house.certificate.fingerprint
    shares = Shares(limits.connections_each)
    if network is not None:
        about.addresses = bind_tls(network, listen, house.certificate, about.warn, shares.came)
    bind_socket(local, house.layout.served, house.layout.socket)
    shares.ports = frozenset(int(address.rpartition(":")[2]) for address in about.addresses)
    return Servers(local, network, health, shares, doorway.live)


def _add_services(house: House, doorway: Doorway, methods: Methods) -> list[str]:
    """Every service of the contract; returns their names."""
    engine, memory, clock, about = house.engine, house.memory, house.clock, house.about
    resolver = Resolver(
        house.images,
        house.registry,
        house.vault,
        house.subnet,
        house.abilities,
        house.paths,
        house.host_ports.look,
    )
    past = Recollection(memory.reader)
    answers = Answers(engine, past)
    declarations = Declarations(engine, resolver, answers)
    me = Me(about.identity.capsule_id, house.certificate.fingerprint)
    services: dict[str, tuple[Adds, Any]] = {
        "WorkloadService": (
            workload_pb2_grpc.add_WorkloadServiceServicer_to_server,
            WorkloadService(
                engine,
                answers,
                declarations,
                house.logs,
                house.execs,
                house.copies,
                house.emergencies,
                house.cache.pulls,
                house.making,
            ),
        ),
        "MachineService": (
            machine_pb2_grpc.add_MachineServiceServicer_to_server,
            MachineService(engine, declarations, clock),
        ),
        "DriftService": (
            drift_pb2_grpc.add_DriftServiceServicer_to_server,
            DriftService(engine),
        ),
        "ImageService": (
            image_pb2_grpc.add_ImageServiceServicer_to_server,
            ImageService(engine, house.images, house.cache),
        ),
        "ImageCacheService": (
            image_cache_pb2_grpc.add_ImageCacheServiceServicer_to_server,
            ImageCacheService(engine, past, house.cache),
        ),
        "RegistryService": (
            registry_pb2_grpc.add_RegistryServiceServicer_to_server,
            RegistryService(engine, house.registry, house.vault, house.seals),
        ),
        "SecretService": (
            secret_pb2_grpc.add_SecretServiceServicer_to_server,
            SecretService(engine, answers, house.vault, house.seals),
        ),
        "CapsuleService": (
            capsule_pb2_grpc.add_CapsuleServiceServicer_to_server,
            CapsuleService(engine, info_of(house).message, house.logs.own, house.power, house.updates),
        ),
        "UpdateService": (
            update_pb2_grpc.add_UpdateServiceServicer_to_server,
            UpdateService(engine, past, clock, house.updates),
        ),
        "PowerService": (
            power_pb2_grpc.add_PowerServiceServicer_to_server,
            PowerService(house.power),
        ),
        "DiskService": (
            disk_pb2_grpc.add_DiskServiceServicer_to_server,
            DiskService(house.growing),
        ),
        "DebugService": (
            debug_pb2_grpc.add_DebugServiceServicer_to_server,
            DebugService(DebugSessions(engine, declarations, house.images, house.cache)),
        ),
        "VolumeService": (
            volume_pb2_grpc.add_VolumeServiceServicer_to_server,
            VolumeService(engine, answers, house.volumes),
        ),
        "SnapshotService": (
            volume_pb2_grpc.add_SnapshotServiceServicer_to_server,
            SnapshotService(engine, answers, house.volumes),
        ),
        "MoveService": (
            move_pb2_grpc.add_MoveServiceServicer_to_server,
            MoveService(engine, house.vault, house.layout, about.identity, house.begin_anew),
        ),
        "RetentionService": (
            retention_pb2_grpc.add_RetentionServiceServicer_to_server,
            RetentionService(engine, memory.reader, Retention(memory.journal, memory.reader), memory.why),
        ),
        "VolumeDataService": (
            volume_pb2_grpc.add_VolumeDataServiceServicer_to_server,
            VolumeDataService(engine, answers, house.volumes, house.porter),
        ),
        "StatsService": (
            stats_pb2_grpc.add_StatsServiceServicer_to_server,
            StatsService(engine, house.sampler, clock),
        ),
        "IdentityService": (
            identity_pb2_grpc.add_IdentityServiceServicer_to_server,
            IdentityService(me, engine, answers, doorway.roster, doorway.denials, clock),
        ),
        "OperatorService": (
            identity_pb2_grpc.add_OperatorServiceServicer_to_server,
            OperatorService(answers, doorway.roster),
        ),
    }
    rollbacks = Rollbacks(engine, resolver, answers, memory.reader, memory.why)
    services["RollbackService"] = (
        rollback_pb2_grpc.add_RollbackServiceServicer_to_server,
        RollbackService(engine, rollbacks, VolumeRollbacks(engine, answers, house.volumes, memory.reader, memory.why)),
    )
    history: HistoryServiceServicer = UnreadableHistory(memory.why)
    if memory.environment is not None and memory.reader is not None:
        leave = None if memory.journal is None else partial(memory.journal.keep_snapshot, FOLD_VERSION)
        read_after = None if memory.journal is None else memory.journal.read_after
        history = told = HistoryService(memory.environment, memory.reader, engine, leave, read_after)
        about.ask(told.warnings)
    services["HistoryService"] = (history_pb2_grpc.add_HistoryServiceServicer_to_server, history)

    for add, servicer in services.values():
        add(servicer, methods)
    return [f"capsule.v1.{name}" for name in services]


def info_of(house: House) -> Info:
    """What tells of the machine."""
    return Info(
        house.about,
        house.engine,
        house.volumes,
        house.subnet,
        house.clock.boot_id,
        head_of(house.memory),
        partial(allocated_bytes, house.layout.journal),
        readable=house.memory.unknown is None,
    )


def head_of(memory: Memory) -> Callable[[], tuple[int, str]]:
    """What reads the newest entry that is on the disk: its number and its hash."""

    def head() -> tuple[int, str]:
        last = None if memory.reader is None else memory.reader.last()
        return (0, "") if last is None else (last.header.seq, last.hash.hex())

    return head


def _noter(memory: Memory) -> Callable[[str, Any, Any], None]:
    """Reads go into the audit stream; what acts stands among the facts, and dry runs nowhere."""

    def note(method: str, request: Any, context: Any) -> None:
        if memory.journal is None:
            return
        caller = caller_of(context, method.replace("/", "."))
        name = getattr(request, "name", "")[:OBJECT_CHARS]
        event = CallRead(method=caller.method, object=name, login=caller.login, peer=caller.peer)
        memory.journal.note(Draft(event, caller.actor))

    return note
