"""A bundle taken in: checked as it comes, written into the other slot, read back, and only then armed.

Until its manifest has been read and admitted nothing on the disk has changed; from then on the other slot cannot be
booted, and the journal says so, until both images were read back from the disk and are what the manifest says. So the
boot loader's default is what runs before the first byte is written.
"""

from collections.abc import Awaitable, Callable

import msgspec

from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.rpc import Refused
from capsuled.updates import level
from capsuled.updates.kept_volumes import keep
from capsuled.updates.switching import Switch
from effects.errors import DriverError
from effects.slots.bundle import BundleStream, Head
from effects.slots.manifest import BadBundle
from effects.slots.protocol import SlotStore, other
from effects.slots.signing import verify
from effects.unbroken import taken, to_its_end
from journal.entry import SYSTEM
from journal.errors import JournalError
from journal.events import UpdateStaged, UpdateStagingFailed
from projections.refusals import Refusal
from projections.state import Update
from projections.update_intents import BeginUpdate, ConfirmWhen, Level, System
from projections.updates import current

_ARGUMENT = frozenset({"NO_TAR", "OLDER_FORM", "OTHER_FORMAT", "OTHER_ARCHITECTURE", "TOO_LARGE", "BAD_MANIFEST"})
"""What was pushed is no bundle for this machine; all else was damaged or altered on its way."""


class Options(msgspec.Struct, frozen=True):
    """What the operator said with it."""

    window_s: int = 900
    confirm_when: ConfirmWhen = "operator"
    soak_s: int = 60
    allow_downgrade: bool = False
    retry: bool = False
    keeps: tuple[str, ...] = ()
    snapshot: str = ""


async def uncrowded() -> str:
    """There is room for a trial."""
    return ""


class Receiver:
    """`running` is what runs; `written` what stands in the journal, `uplink` whether the machine is on the LAN;
    `keys_known` and `crowded` as in Updates."""

    def __init__(
        self,
        engine: Engine,
        slots: SlotStore,
        switch: Switch,
        running: System,
        written: Callable[[], Level],
        uplink: Callable[[], bool],
        keys_known: bool = True,
        crowded: Callable[[], Awaitable[str]] = uncrowded,
    ) -> None:
        self._engine = engine
        self._slots = slots
        self._switch = switch
        self._running = running
        self._written = written
        self._uplink = uplink
        self._keys_known = keys_known
        self._crowded = crowded

    async def receive(self, bundle: BundleStream, options: Options, caller: Caller, now_s: float) -> Update:
        """The update, armed. Raises Refused, LoaderFailed."""
        try:
            head = await bundle.head()
            signed_by = self._signed_by(head, now_s)
            await self._check_slot(head)
        except BadBundle as bad:
            raise Refused(_refusal(bad)) from bad
        await self.check_room()
        update, cause = await taken(self._begun(head, signed_by, options, caller), self._ended)
        began_ns = self._engine.mono_ns()
        held = ""

        def note(changed: bool) -> None:
            nonlocal held
            held = update.from_slot if changed else ""

        try:
            note(await taken(self._switch.hold(update.from_slot), note))
            await self._stage(bundle, head, update)
            self._signed_by(head, now_s)  # the keys may have been changed meanwhile
            await keep(self._engine, update, cause)
            self._tell_staged(head, update, cause, began_ns)
        except BaseException as error:
            self._ended((update, cause), error, held)
            if isinstance(error, BadBundle):
                raise Refused(_refusal(error)) from error
            raise
        # Whoever pushed may go now: what is on the disk is told, and the boot loader with it.
        await to_its_end(self._switch.arm(update, self._uplink(), cause))
        return update

    def _ended(self, begun: tuple[Update, int], error: BaseException | None = None, held: str = "") -> None:
        """Before all of it was there: by this error, or because nobody pushes any more. `held`: the slot that became
        the loader's default first."""
        update, cause = begun
        failed = UpdateStagingFailed(update.uid, *_why(error), held)
        self._engine.record((failed,), cause=cause, vital=True, actor=SYSTEM)

    def _tell_staged(self, head: Head, update: Update, cause: int, began_ns: int) -> None:
        boot, root = head.manifest.members
        took_ms = (self._engine.mono_ns() - began_ns) // 1_000_000
        staged = UpdateStaged(update.uid, boot.sha256, root.sha256, boot.size, root.size, took_ms)
        self._engine.record((staged,), cause=cause, actor=SYSTEM)

    def _signed_by(self, head: Head, now_s: float) -> str:
        keys = {kid: key.public_key for kid, key in self._engine.machine.update_keys.items()}
        return verify(head.signed, head.signature, keys, head.manifest.expires, now_s)

    async def check_room(self) -> None:
        """Raises Refused where no trial could begin."""
        if crowded := await self._crowded():
            raise Refused(Refusal("RESOURCE_EXHAUSTED", "NO_SPACE", crowded))

    async def _check_slot(self, head: Head) -> None:
        room = await self._slots.room(other(self._engine.machine.slots.active))
        for member in head.manifest.members:
            if member.size > room.of(member.name):
                raise BadBundle(
                    "TOO_LARGE",
                    f"{member.name} has {member.size} bytes, and its partition {room.of(member.name)}: build a smaller "
                    "one, or install the machine anew with larger slots",
                )

    async def _begun(self, head: Head, signed_by: str, options: Options, caller: Caller) -> tuple[Update, int]:
        manifest = head.manifest
        intent = BeginUpdate(
            new=System(manifest.version, manifest.commit, manifest.built),
            running=self._running,
            size_bytes=manifest.size_bytes,
            signed_by=signed_by,
            reads=level.of_bundle(manifest.levels),
            level=level.own(),
            written=self._written(),
            window_s=options.window_s,
            confirm_when=options.confirm_when,
            soak_s=options.soak_s,
            allow_downgrade=options.allow_downgrade,
            retry=options.retry,
            keeps=options.keeps,
            snapshot=options.snapshot,
            keys_known=self._keys_known,
        )
        outcome = await self._engine.call(intent, caller)
        if isinstance(outcome, Refusal):
            raise Refused(outcome)
        update = current(self._engine.machine)
        if outcome.repeated or update is None:
            words = "this call was made before: `capsulectl update history` shows what became of it"
            raise Refused(Refusal("ALREADY_EXISTS", "REPEATED", words))
        return update, outcome.seq

    async def _stage(self, bundle: BundleStream, head: Head, update: Update) -> None:
        for member in head.manifest.members:
            written = await self._slots.write(other(update.from_slot), member.name, bundle.member(member))
            if written.sha256 != member.sha256:
                raise BadBundle(
                    "BAD_HASH", f"{member.name} is not what the manifest says: it was damaged or altered on its way"
                )
        await bundle.end()


def _why(error: BaseException | None) -> tuple[str, str]:
    """Why it failed, for machines and for people. `error` is none, or no Exception, where nobody pushes any more."""
    match error:
        case Refused(refusal=refusal):
            return refusal.reason, refusal.message
        case BadBundle() | DriverError():
            return error.reason, error.message
        case JournalError():
            return error.reason, str(error)
        case Exception():
            return "INTERNAL", "something went wrong inside capsuled"
        case _:
            return "CUT", "the push ended before all of it had come"


def _refusal(bad: BadBundle) -> Refusal:
    code = "INVALID_ARGUMENT" if bad.reason in _ARGUMENT else "DATA_LOSS"
    return Refusal(code, bad.reason, bad.message)
