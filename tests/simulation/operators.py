"""The operators of a simulated machine: each asks until there is an answer, and the oracle learns what it was."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from capsule.v1 import history_pb2, rollback_pb2
from capsuled.caller import Caller
from capsuled.rpc import Refused
from capsuled.streams import opened
from effects.images.protocol import Progress
from effects.images.twin_image import TwinImage
from journal.entry import LOCAL
from journal.errors import HistoryCut, JournalFull
from projections.intents import CollectImages, Delete, Intent, RemoveImage, Restart, Start, Stop
from projections.refusals import Refusal
from tests.simulation.asking import answered, impatient
from tests.simulation.asks import (
    CHECKS,
    DRIFTS,
    IMAGES,
    MEANINGS,
    NAMES,
    NEEDS,
    POLICIES,
    PROGRAMS,
    QUIET,
    REMOTE,
    ROW,
    WORKLOAD_VERBS,
    Ask,
    message_of,
)
from tests.simulation.collisions import HOLDER, PORT, Collisions
from tests.simulation.keyholders import actor_of
from tests.simulation.life import Life
from tests.simulation.oracle import Wish
from tests.simulation.storage import VOLUME_VERBS, call_on_volume
from tests.simulation.whole import Whole
from tests.support.images import chunks

if TYPE_CHECKING:
    from tests.simulation.machine import Simulation

PROMPT_S = 30.0
"""Longer than whatever has to end first may take; shorter than the back-off of what failed again and again."""
CALM_CALLS = 4
"""So often each operator asks for something without faults: in the storm no daemon lives for long, and whoever starts
anew looks at everything."""
SETTLED_S = 8.0
"""Longer than a stop's grace."""
SWITCHES: dict[str, Callable[[str], Stop | Start | Restart | Delete]] = {
    "stop": Stop,
    "start": Start,
    "restart": Restart,
    "delete": Delete,
}
FREES = {"stop": ("running",), "delete": ("running", "stopped")}
"""What a full disk always takes, of what is to be so."""
PUSH_S = 0.3
"""About as long as a push takes."""
HOUSE = ((0.8, "push", "push", "push", "pull", "move"), (0.3, "rm", "rm", "rm remote"), (0.2, "gc", "gc all"))
"""How often each acts in a second, and what it does."""
LATE = ("apply", "apply", "restart", "restart", "start", "stop")


class Operators:
    """One per workload, so that what was acknowledged last is what counts, one of the images, and a quiet one."""

    def __init__(self, simulation: "Simulation") -> None:
        self._simulation = simulation
        self._random = simulation.random
        self._oracle = simulation.oracle
        self._housed = asyncio.Event()
        self._pushes, self._pushed = asyncio.Event(), IMAGES[0]
        self._calls = 0
        self._asked = Counter[str]()
        self._before: dict[str, Ask] = {}

    def begin(self) -> list[asyncio.Future[None]]:
        """All of them, at work as long as there are faults, for a while without, and for a last word each."""
        quiet = asyncio.ensure_future(self._ask(QUIET, Ask("apply", ("serve", "1"))))
        return [quiet, asyncio.ensure_future(self._keep_house(quiet)), asyncio.ensure_future(self._operate_all())]

    async def _operate_all(self) -> None:
        await asyncio.gather(*(self._operate(name) for name in NAMES))
        await self._row()
        await self._collide()
        await Whole(self._simulation, self._promptly, self._choice).run()
        # The last word: what is judged must be known for sure.
        await asyncio.gather(*(self._promptly(name, self._choice(name, WORKLOAD_VERBS)) for name in NAMES))

    async def _operate(self, name: str) -> None:
        """One operator per name, so that what was acknowledged last is what counts."""
        while self._simulation.faults:
            await asyncio.sleep(self._random.expovariate(0.8))
            await self._ask(name, self._but_one(name, self._choice(name)))
        # From here on nothing may want for an image or the secret.
        await self._housed.wait()
        await self._simulation.safekeeper.settled.wait()
        for _ in range(CALM_CALLS):
            await asyncio.sleep(self._random.choice((0.0, self._random.expovariate(0.3))))
            ask = self._choice(name)
            await self._promptly(name, ask)
            if ask.verb == "v-create":
                # While it is being made: what is asked for last is what counts.
                await asyncio.sleep(self._random.choice((0.0, 0.01)))
                await self._promptly(name, ask._replace(verb="v-resize"))

    def _but_one(self, name: str, ask: Ask) -> Ask:
        """Some declare the same once more, and one thing of it anew."""
        before = self._before.get(name)
        if ask.verb == "apply":
            wish = self._oracle.wishes.get(name)
            if before is not None and wish is not None and wish.vm == before.vm and self._random.random() < 0.4:
                field = self._random.choice(("needs", "drift", "check", "policy", "port"))
                ask = before._replace(**{field: getattr(ask, field)})
            self._before[name] = ask
        return ask

    async def _row(self) -> None:
        """Workloads that need one another are stopped at once, their users first, and started the other way round: what
        ends waits for its users, what starts for whom it needs."""
        for name in ROW:
            program = self._random.choice((("serve", "1"), ("ignore-term",)))
            vm = name in self._oracle.wishes and self._oracle.wishes[name].vm
            await self._promptly(name, Ask("apply", program, needs=NEEDS[name][-1], vm=vm))
        await asyncio.sleep(SETTLED_S)
        self._oracle.quiet = len(self._simulation.disk.values())
        for verb in ("stop", "start"):
            for name in reversed(ROW):
                await self._promptly(name, Ask(verb, ()))
            await asyncio.sleep(SETTLED_S)
        for name in ROW:
            assert self._simulation.lives(name), f"{name} does not run, and those that it needs do"
        # Nothing but what it needs is declared anew, and taken back.
        await self._promptly(name, Ask("apply", program, vm=vm))
        await self._promptly(name, Ask("rollback", (), back=2))
        wish, life = self._oracle.wishes[name], self._simulation.life
        needs = () if life is None else life.engine.machine.workloads[name].depends_on
        assert set(needs) == set(wish.needs), f"{name} was acknowledged as {wish}, and depends on {needs}"

    async def _collide(self) -> None:
        """One has a volume and a host port, and others want them."""
        await self._promptly(HOLDER, Ask("v-create", ()))
        wish = self._oracle.wishes.get(HOLDER)
        vm = wish is not None and wish.vm
        await self._promptly(HOLDER, Ask("apply", ("serve", "1"), port=PORT, disk=True, vm=vm))
        await Collisions(self._simulation).run()

    async def of_volumes(self) -> None:
        """Each volume is to have another snapshot, or to be there."""
        for name in NAMES:
            await self._promptly(name, Ask("v-snapshot" if name in self._oracle.disks else "v-create", ()))
        await asyncio.sleep(self._random.uniform(0.0, SETTLED_S))

    async def late_words(self) -> None:
        """After a long quiet some are told something, when what ends by itself has waited for minutes."""
        for name in NAMES:
            if self._random.random() < 0.5:
                ask = self._choice(name, LATE)
                if ask.verb == "apply" and self._random.random() < 0.5:
                    ask = ask._replace(program=("end-bad",), policy="always")  # its pauses begin anew
                await self._promptly(name, ask)
            elif self._random.random() < 0.4:
                await self._promptly(name, Ask("v-delete", ()))

    async def _promptly(self, name: str, ask: Ask) -> None:
        """A word without any fault is answered soon."""
        began = self._simulation.loop.time()
        await self._ask(name, ask)
        took_s = self._simulation.loop.time() - began
        assert took_s < PROMPT_S, f"{ask.verb} {name} was answered after {took_s:.0f} s, without any fault"

    async def _ask(self, name: str, ask: Ask) -> None:
        """Each operator counts for itself: the same id is another call of another's."""
        self._asked[name] += 1
        volume = f"{name}-" if ask.verb in VOLUME_VERBS else ""
        call_id = f"call-{volume}{self._asked[name]}"
        answer = await self._until_answered(name, call_id, ask)
        if answer == "ok" and ask.verb in SWITCHES and self._random.random() < 0.2:
            other = Caller(actor_of(name), ask.verb, call_id, "something else")
            refusal = await answered(self._simulation, lambda life: life.engine.call(Stop(name), other))
            assert isinstance(refusal, Refusal) and refusal.reason == "CALL_ID_REUSED", (
                f"{call_id} of {name}: {refusal}"
            )

    def _choice(self, name: str, verbs: tuple[str, ...] = ()) -> Ask:
        wish = self._oracle.wishes.get(name)
        return Ask(
            verb=self._random.choice(verbs or WORKLOAD_VERBS + VOLUME_VERBS),
            program=self._random.choice(PROGRAMS),
            policy=self._random.choice(tuple(POLICIES)),
            image=self._random.choice((*(image.names[0] for image in IMAGES), REMOTE, REMOTE)),
            pull=self._random.random() < 0.3,
            port=self._random.choice((0, 0, 8_000 + NAMES.index(name), 9_000 + NAMES.index(name))),
            # The last word must not be refused for want of a volume.
            disk=not verbs and self._random.random() < 0.5,
            # Nor for want of one that it depends on.
            needs=self._random.choice(NEEDS[name]) if not verbs else (),
            check=self._random.randrange(len(CHECKS)),
            drift=self._random.choice(tuple(DRIFTS)),
            secret=self._random.random() < 0.5,
            variable=self._random.random() < 0.5,
            back=self._random.randint(1, 4),
            # A workload keeps its kind as long as there is one.
            vm=self._random.random() < 0.5 if wish is None else wish.vm,
        )

    async def _until_answered(self, name: str, call_id: str, ask: Ask) -> str:
        self._oracle.asked(name)
        asked = (LOCAL.id if ask.verb in VOLUME_VERBS else actor_of(name).id, ask.verb, name)
        answer = await answered(self._simulation, lambda life: self._call(life, name, ask, call_id), asked)
        self._oracle.answered(name)
        self._simulation.trace.note(
            f"operator: {ask.verb} {name} {ask.program if ask.verb == 'apply' else ''} -> {answer}"
        )
        return answer

    async def _call(self, life: Life, name: str, ask: Ask, call_id: str) -> str:
        if ask.verb in VOLUME_VERBS:
            return await call_on_volume(life.engine, self._oracle, ask.verb, name, call_id)
        caller = Caller(actor_of(name), ask.verb, call_id, f"{name} {ask}")
        if ask.verb == "rollback":
            return await self._roll_back(life, name, ask.back, caller)
        if ask.verb == "apply":
            message = message_of(name, ask)
            try:
                result = await life.declarations.apply([message], caller, expect_seq=None, pull=ask.pull, dry_run=False)
                now = result.machine.workloads[name]
                self._of_its_moment(life, result.seq, result.machine.seq)
            except Refused as refused:
                return refused.refusal.reason
            except HistoryCut:  # it was carried out, and nobody changed it since
                now = life.engine.machine.workloads[name]
            digest = now.spec.image.platform_digest
            self._oracle.applied(
                name,
                ask.program,
                ask.policy,
                digest,
                ask.port,
                ask.disk,
                ask.needs,
                ask.secret,
                now.desired_seq,
                ask.vm,
                ask.variable,
                DRIFTS[ask.drift],
            )
            self._simulation.safekeeper.told(name, ask.secret)
            meant = [image.platform_digest for image in (*IMAGES, *MEANINGS) if ask.image in image.names]
            assert digest in meant, f"{ask.image} is not {digest}"
            return "ok"
        intent: Intent = SWITCHES[ask.verb](name)
        before = life.engine.workload(name)
        try:
            outcome = await impatient(self._simulation, lambda: life.engine.call(intent, caller))
        except JournalFull as full:
            frees = before is not None and before.desired in FREES.get(ask.verb, ())
            assert not frees, f"{ask.verb} {name} frees something, and was refused: {full}"
            raise
        if isinstance(outcome, Refusal):
            return outcome.reason
        match ask.verb:
            case "stop":
                self._oracle.stopped(name)
            case "start":
                self._oracle.started(name)
            case "restart":
                if before is not None and before.run is not None:
                    self._oracle.restarted(name, before.uid, before.run.number)
            case "delete":
                self._oracle.deleted(name)
                self._simulation.safekeeper.told(name, uses=False)
                if before is not None:
                    await self._too_soon(life, name, before.uid)
                    await life.engine.gone(name, before.uid)
        return "ok"

    def _of_its_moment(self, life: Life, call: int, told: int) -> None:
        """What an answer tells is the state right after its call, also when it is given again."""
        if not life.log.alive:
            return
        _, entries = self._simulation.disk.replay(life.log.behind())
        last = max(header.seq for header, _ in entries if call in (header.seq, header.call))
        assert told == last, f"the call {call} led to entry {last}, and was answered with the state after {told}"

    async def _too_soon(self, life: Life, name: str, uid: int) -> None:
        """What is being deleted only ends: whoever declares it again is refused, until another can begin."""
        message, caller = message_of(name, Ask("apply", ("serve", "1"))), Caller(actor_of(name), "apply")
        try:
            result = await life.declarations.apply([message], caller, expect_seq=None, pull=False, dry_run=True)
        except Refused:
            return
        assert result.machine.workloads[name].uid != uid, f"{name} was deleted, and would come back"

    async def _roll_back(self, life: Life, name: str, back: int, caller: Caller) -> str:
        """To the state after an earlier apply of its own, whatever became of the workload since."""
        former = self._oracle.former.get(name, [])
        if not former:
            return "nothing to go back to"
        seq, wish = former[-min(back, len(former))]
        request = rollback_pb2.RollbackRequest(name=name, moment=history_pb2.Moment(seq=seq))
        reaches = self._simulation.archivist.reaches
        when_asked = reaches(seq)
        try:
            await life.rollbacks.roll_back(request, caller)
        except Refused as refused:
            reason, disk = refused.refusal.reason, self._oracle.disks.get(name)
            lacks = wish.disk and (disk is None or disk.incarnation != wish.disk)
            may = {"IMAGE_LEAVING"}  # whose images are being removed at that moment, others decide
            leaving = name not in self._oracle.wishes  # its deletion was acknowledged, and may be under way
            other_kind = name in self._oracle.wishes and self._oracle.wishes[name].vm != wish.vm
            may |= {"NOTHING_GOES_BACK"} if lacks or leaving or other_kind else set()
            may |= {"SECRET_NOT_FOUND"} if wish.secret else set()
            may |= {"NO_SUCH_DEPENDENCY"} if wish.needs else set()
            may |= when_asked | reaches(seq)  # somebody may have let it go while it was read
            assert reason in may, f"{name} could not go back to {wish} of entry {seq}: {reason}"
            return f"{reason}, not back to {seq}"
        except HistoryCut:
            pass  # it was carried out before
        self._oracle.rolled_back(name, wish)
        self._simulation.safekeeper.told(name, wish.secret)
        return f"ok, as after {seq}"

    async def _keep_house(self, quiet: "asyncio.Future[None]") -> None:
        """The operators of the images: one brings them, one takes them away, and one whatever nobody uses; once the quiet
        workload has its own. None waits for the others."""
        await quiet
        await asyncio.gather(*(self._change_house(often, verbs) for often, *verbs in HOUSE))
        # Every image is there at the end: what was refused for want of one can be applied.
        for image in IMAGES:
            self._calls += 1
            await self._until_done("push", image, f"call-image-{self._calls}")
        self._housed.set()

    async def _change_house(self, often: float, verbs: Sequence[str]) -> None:
        while self._simulation.faults:
            image, verb = self._random.choice(IMAGES), self._random.choice(verbs)
            try:
                async with asyncio.timeout(self._random.expovariate(often)):
                    await (self._pushes if verb == "rm" else asyncio.Event()).wait()
                # Whoever takes away what is just being brought comes before, into the midst of it, or too late.
                image = self._pushed
                await asyncio.sleep(self._random.uniform(0.0, PUSH_S))
            except TimeoutError:
                pass
            self._calls += 1
            if verb == "push":
                self._pushed = image
                self._pushes.set()
                self._pushes.clear()
            if verb == "move":
                self._simulation.registries.offer(REMOTE, self._random.choice(MEANINGS))
            else:
                await self._until_done(verb, image, f"call-image-{self._calls}")

    async def _until_done(self, verb: str, image: TwinImage, call_id: str) -> None:
        before = self._oracle.known()
        answer = await answered(self._simulation, lambda life: self._change_images(life, verb, image, call_id, before))
        self._simulation.trace.note(f"operator: image {verb} {image.names[0]} -> {answer}")

    async def _change_images(
        self, life: Life, verb: str, image: TwinImage, call_id: str, before: dict[str, Wish]
    ) -> str:
        caller = Caller(LOCAL, f"image {verb}", call_id, f"{verb} {image.names}")
        if verb == "push":
            content = msgspec.json.encode((image,)) + b"\n" + bytes(image.size_bytes)
            async with opened(life.engine, caller, "") as stream:
                await life.cache.push(chunks(content, 40), "", (), stream, caller)
            return "ok"
        if verb == "pull":
            async with opened(life.engine, caller, REMOTE) as stream:
                await life.cache.pull(REMOTE, Progress(), stream, caller)
            return "ok"
        names = {"rm": image.names[0], "rm remote": REMOTE}
        intent = RemoveImage(names[verb]) if verb in names else CollectImages(verb == "gc all")
        try:
            refs = (await life.cache.remove(intent, caller)).refs
        except Refused as refused:
            return refused.refusal.reason
        # All the while: what was collected may have been brought again since, and be used by now.
        used = {wish.image for name, wish in self._oracle.known().items() if before.get(name) is wish}
        taken = [one.names for one in IMAGES if {*one.names} & {*refs} and one.platform_digest in used]
        assert verb not in ("gc", "gc all") or not taken, f"{taken} were collected, and are used"
        return str(refs)
