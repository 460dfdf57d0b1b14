"""The past of a busy machine: a million entries of every ordinary kind, as a year would leave them, the same each time.

Forty workloads on the bridge are applied, changed, stopped and started, mostly by an operator over the network; they
crash and come back; commands are run in them; calls are refused, starts fail; now and then power is lost. Of one more
hardly anything is ever heard.
"""

import atexit
import functools
import hashlib
import itertools
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

from msgspec.structs import replace

from bench.report import BUILD
from journal.entry import EFFECT, LOCAL, SYSTEM, Actor
from journal.environment import Environment
from journal.events import (
    AppliedWorkload,
    CallAccepted,
    CallRefused,
    DaemonStarted,
    EffectDone,
    EffectFailed,
    EffectStarted,
    Event,
    ImagePushed,
    NetworkAttached,
    NetworkEnsured,
    PushedImage,
    StreamClosed,
    StreamOpened,
    WorkloadApplied,
    WorkloadExited,
    WorkloadStarted,
    WorkloadStartRequested,
    WorkloadStopRequested,
)
from journal.follower import Follower
from journal.reader import Reader
from journal.release import RELEASE
from journal.sequencer import THIS_BATCH, Chain, Draft, Stamp, bodies_of, pairs_of
from journal.specs import ContainerSpec, ImagePin, PortMapping, SealedEnv

ENTRIES = 1_000_000
WORKLOADS = 40
SELDOM = f"service-{WORKLOADS}"
"""The name of the one of which there are some thousand entries."""
STEP_NS = 31_536_000_000_000_000 // ENTRIES
"""A year, in equal steps."""
BEGINS_NS = 1_700_000_000_000_000_000
ADA = Actor("operator", "mG7wzR0J3yYQq1n0b3F4sJ0v6cPp1l5mG7wzR0J3yYQ", "ada", "admin")
_CHAPTERS = 2_000
_ARGUMENTS = tuple(
    (f"workload.{path}", "")
    for path in ("name", "kind", "container.image", "container.command", "container.env", "container.ports.host_port")
)

Told = tuple[Event, Actor]


class Calendar:
    """The machine's clocks, from wall time alone."""

    def __init__(self) -> None:
        self._number, self._began = 0, BEGINS_NS

    def next_boot(self, at: int) -> None:
        """Power was lost; a boot begins."""
        self._number, self._began = self._number + 1, at

    def reading(self, at: int) -> tuple[str, int]:
        """Boot id and monotonic nanoseconds at a moment of this boot."""
        return f"{self._number:08x}-5c1f-4f0e-9d57-2b7f6a1e0c44", at - self._began + 1_000_000_000


class _Life:
    """What the teller has to know of a workload to go on with its story."""

    def __init__(self, number: int) -> None:
        self.name = f"service-{number:02}"
        self.address = f"172.20.254.{number + 2}"
        self.port = 8_000 + number
        self.uid = self.revision = self.run = 0


class Past:
    """Tells chapters: entries of one moment. `seq` is the number of the entry that is told next."""

    def __init__(self, seed: int = 2) -> None:
        self._random = Random(seed)
        self._lives = [_Life(number) for number in range(WORKLOADS)]
        self._seldom = _Life(WORKLOADS)
        self.seq = 1

    def chapters(self) -> Iterator[list[Told]]:
        """Without end."""
        for chapter in self._chapters():
            told = []
            for one in chapter:
                told.append(one)
                self.seq += 1
            yield told

    def _chapters(self) -> Iterator[Iterable[Told]]:
        yield self._boot("first")
        yield from map(self._apply, (*self._lives, self._seldom))
        kinds = (self._crash, self._crash, self._apply, self._apply, self._stop, self._exec, self._exec, self._trip)
        for number in itertools.count(1):
            life = self._seldom if self._random.random() < 0.001 else self._random.choice(self._lives)
            yield self._random.choice(kinds)(life)
            if number % 20_000 == 0:
                yield self._boot("power-lost")
                yield from map(self._come_back, (*self._lives, self._seldom))

    def _boot(self, previous: str) -> Iterator[Told]:
        yield DaemonStarted(mode="hosted", previous=previous, pid=700), SYSTEM

    def ending(self) -> list[Told]:
        """Everything is stopped: whoever opens this past has nothing to start."""
        told: list[Told] = []
        for life in (*self._lives, self._seldom):
            told += [(WorkloadStopRequested(life.name, life.uid), ADA), *self._stopped(life)]
        return told

    # --- what operators do ---------------------------------------------------------------------------------------

    def _call(self, method: str, name: str, arguments: tuple[tuple[str, str], ...]) -> Told:
        number = hashlib.sha256(self.seq.to_bytes(8, "big")).hexdigest()
        call = CallAccepted(
            method, (name,), call_id=number[:32], args_hash=number, arguments=arguments, took_us=400
        )  # fmt: skip
        if self.seq % 4 == 0:
            return replace(call, login="ada"), LOCAL
        return replace(call, peer="192.168.1.20:50312", jti=number[:22], token_exp=1_700_000_000 + self.seq), ADA

    def _pin(self, name: str) -> ImagePin:
        digest = hashlib.sha256(f"{name} {self._random.randrange(50)}".encode()).hexdigest()
        return ImagePin(f"docker.io/library/{name}:1", f"sha256:{digest}", f"sha256:{digest[::-1]}")

    def _apply(self, life: _Life) -> Iterator[Told]:
        pin = self._pin(life.name)
        if self._random.random() < 0.2:
            yield ImagePushed((PushedImage(pin, 30_000_000),), 30_000_000), ADA
        yield self._call("WorkloadService.Apply", life.name, _ARGUMENTS)
        created = life.uid == 0
        life.revision = self.seq
        life.uid = life.uid or self.seq
        spec = ContainerSpec(
            image=pin,
            command=("/usr/bin/server", "--listen", "0.0.0.0:8080"),
            env=(SealedEnv("TOKEN", "9f" * 16, 40), SealedEnv("DATABASE", "c3" * 16, 64)),
            network="bridge",
            ports=(PortMapping(8080, life.port),),
        )
        labels, address = (("tier", "web"),), life.address
        item = AppliedWorkload(
            life.name, "container", spec, labels, created=created, changed=not created, address=address
        )  # fmt: skip
        yield WorkloadApplied((item,)), ADA
        if not created:
            yield from self._stopped(life)
        yield EffectStarted("EnsureNetwork", life.name, life.uid), EFFECT
        yield NetworkEnsured(life.revision, WORKLOADS), EFFECT
        yield EffectDone("EnsureNetwork", life.name, life.uid), EFFECT
        yield from self._come_back(life) if created else self._started(life)

    def _stop(self, life: _Life) -> Iterator[Told]:
        yield self._call("WorkloadService.Stop", life.name, (("name", life.name),))
        yield WorkloadStopRequested(life.name, life.uid), ADA
        yield from self._stopped(life)
        yield self._call("WorkloadService.Start", life.name, (("name", life.name),))
        yield WorkloadStartRequested(life.name, life.uid), ADA
        yield from self._started(life)

    def _exec(self, life: _Life) -> Iterator[Told]:
        opened, argv = self.seq, ("sh", "-c", "uptime; df -h /data")
        yield StreamOpened("WorkloadService.Exec", life.name, argv, login="ada"), LOCAL
        yield StreamClosed(opened, "ok", bytes_out=512, exit_code=0, took_ms=40), LOCAL

    # --- what becomes of it --------------------------------------------------------------------------------------

    def _effect(self, effect: str, life: _Life) -> Told:
        return EffectStarted(effect, life.name, life.uid, run=life.run, revision=life.revision), EFFECT

    def _done(self, effect: str, life: _Life) -> Told:
        return EffectDone(effect, life.name, life.uid, run=life.run), EFFECT

    def _started(self, life: _Life) -> Iterator[Told]:
        life.run += 1
        yield self._effect("StartRun", life)
        yield WorkloadStarted(life.name, life.uid, life.run, life.revision, 1_000 + self.seq % 30_000), EFFECT
        yield self._done("StartRun", life)

    def _stopped(self, life: _Life) -> Iterator[Told]:
        yield self._effect("StopRun", life)
        yield WorkloadExited(life.name, life.uid, life.run, 143, BEGINS_NS + self.seq * STEP_NS), EFFECT
        yield self._done("StopRun", life)

    def _crash(self, life: _Life) -> Iterator[Told]:
        yield WorkloadExited(
            life.name, life.uid, life.run, 1, BEGINS_NS + self.seq * STEP_NS, restart=True, restart_delay_ms=1_000,
            streak=1,
        ), EFFECT  # fmt: skip
        yield self._effect("CleanRun", life)
        yield self._done("CleanRun", life)
        yield from self._started(life)

    def _come_back(self, life: _Life) -> Iterator[Told]:
        yield EffectStarted("AttachNetwork", life.name, life.uid), EFFECT
        yield NetworkAttached(life.name, life.uid, life.address), EFFECT
        yield EffectDone("AttachNetwork", life.name, life.uid), EFFECT
        yield from self._started(life)

    def _trip(self, life: _Life) -> Iterator[Told]:
        fields = ("container.image",)
        yield CallRefused(
            "WorkloadService.Apply", "IMAGE_NOT_FOUND", "FAILED_PRECONDITION", (life.name,), fields, login="ada",
            given=tuple(path for path, _ in _ARGUMENTS),
        ), LOCAL  # fmt: skip
        yield EffectFailed(
            "StartRun", life.name, life.uid, "NO_SPACE", "the disk is full: free space under the state directory",
            run=life.run, retry_delay_ms=500,
        ), EFFECT  # fmt: skip
        yield self._done("StartRun", life)


def write(directory: Path, count: int = ENTRIES) -> None:
    """A journal of about `count` entries in `directory`, with indexes, as a daemon that was stopped leaves it."""
    environment = Environment(directory)
    chain, calendar = Chain(0, environment.genesis), Calendar()
    for chapters in _volumes(Past(), count):
        environment.make_room(64 << 20)
        with environment.lmdb.begin(write=True) as txn, txn.cursor(environment.db["facts"]) as cursor:
            for chapter in chapters:
                at = BEGINS_NS + chain.seq * STEP_NS
                if isinstance(event := chapter[0][0], DaemonStarted) and event.previous == "power-lost":
                    calendar.next_boot(at)
                boot, mono = calendar.reading(at)
                drafts = [
                    Draft(event, actor, cause=THIS_BATCH, call=0 if actor is EFFECT else THIS_BATCH)
                    for event, actor in chapter
                ]
                batch = chain.link(drafts, bodies_of(drafts), Stamp(at, boot, mono, RELEASE, ""))
                cursor.putmulti(pairs_of(batch.entries[0][0].seq, batch.values), append=True)
    follower = Follower(environment, Reader(environment))
    while follower.advance(chain.seq):
        pass
    environment.close()


def _volumes(teller: Past, count: int) -> Iterator[list[list[Told]]]:
    """Chapters, as many as one transaction takes; the last one ends the story."""
    chapters = teller.chapters()
    while teller.seq < count:
        yield list(itertools.islice(chapters, _CHAPTERS))
    yield [teller.ending()]


@functools.cache
def past() -> Path:
    """The journal of this run, written when it is first asked for and removed with the process."""
    scratch = tempfile.TemporaryDirectory(dir=BUILD, prefix="bench-past-")
    atexit.register(scratch.cleanup)
    directory = Path(scratch.name) / "journal"
    write(directory)
    return directory
