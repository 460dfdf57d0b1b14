"""The heart: one place where calls are admitted, entries appended, state folded, and all are woken. No I/O of its own.

All of it runs on the event loop's thread, so admission is strictly one call after another. What is answered, shown or
acted on waits for `durable`; the head state may be ahead of the disk, the world never is.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Protocol

from capsuled.call_entries import accepted, again, key_of, objects_of, turned_down
from capsuled.caller import Caller, Keep, Outcome
from capsuled.set_back import with_step
from effects.wakes import folded
from journal.clock import Clock
from journal.entry import EFFECT, SYSTEM, Actor, Header
from journal.errors import AboveLevel
from journal.events import Event, type_of
from journal.sequencer import THIS_BATCH, Draft
from projections.admission import Admitted, admit
from projections.fold import fold
from projections.intents import (
    AddKey,
    Apply,
    ChangeRole,
    Checkpoint,
    CollectImages,
    CreateSecret,
    Delete,
    DeleteSnapshot,
    DeleteVolume,
    GrowDisk,
    Intent,
    RemoveImage,
    RemoveSecret,
    RevealEnv,
    RevealSecret,
    Rollback,
    RotateSecret,
    Stop,
    VolumeIntent,
)
from projections.operators import claim_left_ns
from projections.refusals import Refusal, refused
from projections.rights import permit
from projections.state import Deadline, Machine, Workload
from projections.update_intents import AddUpdateKey, ConfirmUpdate, RollBackUpdate
from projections.updates import above_level


class Log(Protocol):
    """The part of the journal that the engine needs."""

    def check(self) -> None:
        """Raises the JournalError that an append of any size would."""
        ...

    def append(
        self, drafts: Sequence[Draft], *, reserved: bool = False, vital: bool = False
    ) -> Sequence[tuple[Header, Event]]:
        """Number and queue the drafts. Raises JournalFull, JournalFailed."""
        ...

    async def durable(self, seq: int) -> None:
        """Return once entry `seq` is durable. Raises JournalFailed."""
        ...


class Engine:
    """The head state and the way to change it."""

    def __init__(
        self, log: Log, machine: Machine, clock: Clock, capabilities: frozenset[str], args_key: bytes = b""
    ) -> None:
        """`args_key` keys the hashes of calls' arguments: there may be secrets in them, and nobody who has the
        journal shall be able to test a guess."""
        self.machine = machine
        self.capabilities = capabilities
        self.closed: Refusal | None = None
        """Why no call is admitted, while none is."""
        self._args_key = args_key
        self._log = log
        self._clock = clock
        self._wakers: list[Callable[[str, int], None]] = []
        self._tellers: list[Callable[[Header, Event], None]] = []
        self._pending: dict[tuple[str, str, str], asyncio.Event] = {}
        self._committed: list[Callable[[Machine], None]] = []
        self._changed: dict[frozenset[type[Event]], asyncio.Event] = {}

    def check_writable(self) -> None:
        """Raises JournalError where nothing can be changed: before the world is asked for what a change needs."""
        self._log.check()

    def on_change(self, waker: Callable[[str, int], None]) -> None:
        """Call `waker(key, seq)` after each entry for whom it may have given something to do (effects/wakes.py): a
        workload by its name, a volume by `volume/NAME`."""
        self._wakers.append(waker)

    def on_commit(self, callback: Callable[[Machine], None]) -> None:
        """Call this with the state after each batch of entries, which is not durable yet."""
        self._committed.append(callback)

    def on_entry(self, teller: Callable[[Header, Event], None]) -> None:
        """Call `teller` with each entry that is appended from now on."""
        self._tellers.append(teller)

    # --- entries -------------------------------------------------------------------------------------------------

    def commit(
        self, drafts: Sequence[Draft], reserved: bool = False, vital: bool = False
    ) -> Sequence[tuple[Header, Event]]:
        """Append `drafts` as one batch and fold them into the head state at once. Raises AboveLevel for what the system
        before could not read, while the one that runs is on trial."""
        if self.machine.slots.tentative and (above := above_level(self.machine, [draft.event for draft in drafts])):
            raise AboveLevel(f"{above} is not written while this system is on trial: the one before could not read it")
        drafts = with_step(drafts, self.machine.at, self._clock.wall_ns())
        entries = self._log.append(drafts, reserved=reserved, vital=vital)
        for header, event in entries:
            woken = folded(self.machine, header, event)
            for tell in self._tellers:
                tell(header, event)
            for key in woken:
                for wake in self._wakers:
                    wake(key, header.seq)
        kinds = {type(event) for _, event in entries}
        for watched in [watched for watched in self._changed if not (watched and watched.isdisjoint(kinds))]:
            self._changed.pop(watched).set()
        for callback in self._committed:
            callback(self.machine)
        return entries

    def record(
        self,
        events: Sequence[Event],
        cause: int = 0,
        reserved: bool = False,
        actor: Actor = EFFECT,
        vital: bool = False,
    ) -> int:
        """Append what happened in the world; the first entry's seq, 0 if nothing did."""
        if not events:
            return 0
        entries = self.commit([Draft(event, actor, cause=cause) for event in events], reserved, vital)
        return entries[0][0].seq

    def mono_ns(self) -> int:
        """Now, by the machine's monotonic clock."""
        return self._clock.mono_ns()

    def moment(self) -> Deadline:
        """Now, by the monotonic clock of this boot."""
        return Deadline(self._clock.boot_id, self._clock.mono_ns())

    def wall_ns(self) -> int:
        """Now, by the machine's wall clock, in nanoseconds since the Unix epoch."""
        return self._clock.wall_ns()

    def claimable_s(self) -> int:
        """For how many seconds the machine can still be adopted by whoever asks first."""
        return claim_left_ns(self.machine, self._clock.boot_id, self._clock.mono_ns()) // 1_000_000_000

    async def durable(self, seq: int | None = None) -> None:
        """Return once entry `seq` (by default all that was appended so far) is durable."""
        await self._log.durable(self.machine.seq if seq is None else seq)

    # --- calls ---------------------------------------------------------------------------------------------------

    async def call(self, intent: Intent, caller: Caller, keep: Keep | None = None) -> Outcome | Refusal:
        """Admit `intent`, or answer it again. The answer is durable when this returns, a refusal too.

        `keep` is entered once it is admitted, and left when it is written: what the call's events name, but must not
        hold, is durable before, and nothing of a refused call stays.
        """
        answer = await self.answered(caller)
        if answer is not None:
            return answer
        key = key_of(caller)
        if caller.call_id:
            self._pending[key] = asyncio.Event()
        try:
            return await self._decide(intent, caller, keep)
        finally:
            if caller.call_id:
                self._pending.pop(key).set()

    async def answered(self, caller: Caller) -> Outcome | Refusal | None:
        """The answer that a call with this id has had, durable; None for a call that is new. One that is still in
        flight is waited for."""
        if not caller.call_id:
            return None
        while (busy := self._pending.get(key_of(caller))) is not None:
            await busy.wait()
        age_ns = self.machine.age_ns(self._clock.boot_id, self._clock.mono_ns())
        answer = again(self.machine, caller, self._args_hash(caller), age_ns)
        if answer is not None:
            await self.durable()
        return answer

    async def _decide(self, intent: Intent, caller: Caller, keep: Keep | None) -> Outcome | Refusal:
        verdict = caller.lost() or self._judge(self.machine, intent, caller.actor.role)
        if keep is None or isinstance(verdict, Refusal):
            return await self._settle(verdict, intent, caller)
        async with keep() as lacking:
            # Keeping took a while, in which the state may have gone on: what counts is what is right now.
            verdict = caller.lost() or lacking or self._judge(self.machine, intent, caller.actor.role)
            return await self._settle(verdict, intent, caller)

    async def _settle(self, verdict: Admitted | Refusal, intent: Intent, caller: Caller) -> Outcome | Refusal:
        names = objects_of(intent)
        if isinstance(verdict, Refusal):
            await self.refuse(verdict, caller, names)
            return verdict
        frees = bool(verdict.events) and _releases(intent)
        entries = self.commit(self._drafts(verdict, caller, names), vital=frees)
        caller.told.yes = True
        seq = entries[0][0].seq
        after = self.machine.fork() if isinstance(intent, _TOLD) else None
        await self.durable(entries[-1][0].seq)
        return Outcome(seq, verdict.events, machine=after)

    def _judge(self, machine: Machine, intent: Intent, role: str) -> Admitted | Refusal:
        verdict = self.closed or permit(role, intent) or admit(machine, intent, self.capabilities)
        if isinstance(verdict, Admitted) and (above := above_level(machine, verdict.events)):
            return refused(
                "FAILED_PRECONDITION",
                "ON_TRIAL",
                f"this release is on trial, and the one before cannot read what this would write ({above}): "
                "`capsulectl update confirm` first",
            )
        return verdict

    def _drafts(self, verdict: Admitted, caller: Caller, names: tuple[str, ...]) -> list[Draft]:
        head = accepted(caller, names, self._args_hash(caller), self._took_us(caller))
        tail = (Draft(event, caller.actor, cause=THIS_BATCH, call=THIS_BATCH) for event in verdict.events)
        return [Draft(head, caller.actor, cause=caller.cause, call=THIS_BATCH), *tail]

    async def refuse(self, refusal: Refusal, caller: Caller, names: tuple[str, ...] = ()) -> None:
        """Journal a refusal; the caller may tell it once this returns."""
        event = turned_down(refusal, caller, names, self._took_us(caller))
        entries = self.commit([Draft(event, caller.actor, cause=caller.cause, call=THIS_BATCH)])
        caller.told.yes = True
        await self.durable(entries[-1][0].seq)

    def _took_us(self, caller: Caller) -> int:
        return (self._clock.mono_ns() - caller.began_ns) // 1_000 if caller.began_ns else 0

    def _args_hash(self, caller: Caller) -> str:
        if not caller.args_hash:
            return ""
        return hmac.digest(self._args_key, caller.args_hash.encode(), "sha256").hex()

    def preview(self, intent: Intent, role: str) -> tuple[Machine, Admitted | Refusal]:
        """What `intent` would lead to if a caller of this role had it: a fork of the state. Nothing is written, woken
        or remembered."""
        fork = self.machine.fork()
        verdict = self._judge(fork, intent, role)
        if isinstance(verdict, Admitted):
            for event in verdict.events:
                fold(fork, self._imagined(fork, event), event)
        return fork, verdict

    def _imagined(self, fork: Machine, event: Event) -> Header:
        boot = fork.boot
        return Header(
            fork.seq + 1,
            self._clock.wall_ns(),
            self._clock.boot_id,
            self._clock.mono_ns(),
            "" if boot is None else boot.release,
            "" if boot is None else boot.slot,
            SYSTEM,
            0,
            0,
            type_of(event),
            event.VERSION,
            event.EFFECT,
            b"",
            b"",
        )

    # --- watching ------------------------------------------------------------------------------------------------

    async def changes(self, *kinds: type[Event]) -> AsyncIterator[Machine]:
        """The head state, now and after every change, each time made durable first. Slow readers skip states. With
        `kinds` only entries of these are changes: who has nothing to do after the others need not be woken by them.

        It goes on while a change is made durable: who tells of what is shown waits for `durable` once more."""
        watched = frozenset(kinds)
        while True:
            changed = self._changed.setdefault(watched, asyncio.Event())
            await self.durable()
            yield self.machine
            await changed.wait()

    async def moved(self, kinds: Iterable[type[Event]] = ()) -> None:
        """Return right after the next entries (with `kinds`, the next of these), durable or not: for who only adds to
        them."""
        await self._changed.setdefault(frozenset(kinds), asyncio.Event()).wait()

    async def gone(self, name: str, uid: int) -> None:
        """Return once this incarnation is gone, durably."""
        async for machine in self.changes():
            workload = machine.workloads.get(name)
            if workload is None or workload.uid != uid:
                break
        await self.durable()

    def workload(self, name: str) -> Workload | None:
        """The workload as of the head state."""
        return self.machine.workloads.get(name)


def _releases(intent: Intent) -> bool:
    """Whether it may use the whole reserve. What is removed from single entries frees nothing to speak of."""
    return isinstance(intent, _RELEASES) and not (isinstance(intent, Checkpoint) and intent.excised)


_TOLD = (
    Apply
    | Delete
    | Rollback
    | VolumeIntent
    | AddKey
    | ChangeRole
    | AddUpdateKey
    | CreateSecret
    | RotateSecret
    | RevealSecret
    | RevealEnv
)
"""Calls whose answers tell of the state that they led to: see Answers."""

_RELEASES = (
    Stop
    | Delete
    | DeleteVolume
    | DeleteSnapshot
    | RemoveImage
    | CollectImages
    | RemoveSecret
    | Checkpoint
    | GrowDisk
    | ConfirmUpdate
    | RollBackUpdate
)
"""Calls that free something, or make the disk larger, may use all of the journal's reserve: with a full disk they are
what helps. So may those by which a new system stays or goes."""
