"""Bugs of the daemon and the journal: who is answered, what is remembered, what is looked at (capsuled/, journal/)."""

from tests.mutants.mutant import Mutant

ENGINE = "capsuled/engine.py"
CALL_ENTRIES = "capsuled/call_entries.py"
BEGINNING = "capsuled/beginning.py"
OBSERVER = "capsuled/observer.py"
WAKES = "effects/wakes.py"

_LOADER_WRITTEN = (
    "        state = await self._loader.read()\n"
    "        await self._loader.write(replace(state, default_slot=_slot(update.slot), next_slot=None))\n"
)
_CONFIRMED = (
    "        self._engine.record((UpdateConfirmed(update.uid, update.slot),), cause=update.seq, vital=True, actor=SYSTEM)\n"
    "        await self._engine.durable()\n"
)

PLANTED = (
    Mutant(
        "answer-before-commit",
        "a call is answered before its entry is durable",
        ENGINE,
        "        await self.durable(entries[-1][0].seq)\n        return Outcome(",
        "        return Outcome(",
    ),
    Mutant(
        "repeat-in-flight",
        "a call that is repeated while it is carried out is carried out twice",
        ENGINE,
        "while (busy := self._pending.get(key_of(caller))) is not None:",
        "while False and (busy := self._pending.get(key_of(caller))) is not None:",
    ),
    Mutant(
        "volume-wakes-nobody",
        "a change of a volume wakes nobody",
        WAKES,
        "if machine.volumes.get(name) is not volume:",
        "if False:",
    ),
    Mutant(
        "workload-wakes-nobody",
        "of a batch only the first workload is woken",
        WAKES,
        "if machine.workloads.get(name) is not workload:",
        "if name == held[0][0] and machine.workloads.get(name) is not workload:",
    ),
    Mutant(
        "lost-image-wakes-nobody",
        "who waits for another does not hear that his image is gone meanwhile (it was so until seed 2,104 told)",
        WAKES,
        "case ImageLost() | ImageRemoved():",
        "case ImageRemoved():",
    ),
    Mutant(
        "base-read-by-anybody",
        "a release that cannot read what a base was folded from acts on it",
        BEGINNING,
        "check_needs(base.seq, _needs_of(base))",
        "_needs_of(base)",
    ),
    Mutant(
        "repeat-forgotten",
        "a repeated call is carried out again",
        CALL_ENTRIES,
        "record = machine.calls.get(key_of(caller))",
        "record = None",
    ),
    Mutant(
        "id-of-anybodys",
        "a call is taken for another caller's with the same id",
        "capsuled/call_entries.py",
        "return caller.actor.id, caller.method, caller.call_id",
        'return "", caller.method, caller.call_id',
        (("projections/calls.py", "calls[header.actor.id, event.method", 'calls["", event.method'),),
    ),
    Mutant(
        "id-for-other-arguments",
        "a call with the id of another one is answered as that was",
        "capsuled/call_entries.py",
        "if record.args_hash != args_hash:",
        "if False:",
    ),
    Mutant(
        "log-written-over",
        "a place in the front log is used again before LMDB has what stood there",
        "journal/ring.py",
        "return 0 if size <= oldest else None",
        "return 0",
    ),
    Mutant(
        "log-freed-early",
        "with the first group that was moved, all places in the front log are free",
        "journal/ring.py",
        "while self._kept and self._kept[0].last <= upto:",
        "while self._kept:",
    ),
    Mutant(
        "snapshot-of-another-moment",
        "a snapshot holds what was folded after the entry that it stands on",
        "capsuled/memory.py",
        "fork = machine.fork()",
        "fork = machine",
    ),
    Mutant(
        "snapshot-filed-too-early",
        "a snapshot is filed under the entry before the one that it stands on",
        "capsuled/memory.py",
        "self._journal.save_snapshot(FOLD_VERSION, fork.seq, ",
        "self._journal.save_snapshot(FOLD_VERSION, fork.seq - 1, ",
    ),
    Mutant(
        "freeze-ignored",
        "a daemon that cannot read an entry goes on with the state before it",
        "capsuled/memory.py",
        "recalled.frozen_by = str(unknown)",
        "pass",
    ),
    Mutant(
        "damaged-snapshot-trusted",
        "a snapshot is taken for whole whatever its bytes are",
        "journal/snapshot.py",
        "return snapshot if len(head) == HASH_BYTES and digest == _digest(snapshot) else None",
        "return snapshot",
    ),
    Mutant(
        "must-entry-skipped",
        "what an older release cannot read is skipped, and it acts",
        "journal/codec.py",
        '    if header.effect_on_state == "must" and body:\n        raise UnknownMust(header)\n',
        "",
    ),
    Mutant(
        "value-in-the-journal",
        "the value of a variable is named by itself",
        "capsuled/resolve.py",
        "SealedEnv(name, self._vault.name_of(value), len(value.encode()))",
        "SealedEnv(name, value, len(value.encode()))",
    ),
    Mutant(
        "rolled-back-to-the-present-image",
        "a rollback takes what the image's name means today",
        "capsuled/resolve.py",
        "return Apply(declared, None, True, self._subnet, self._abilities, host)",
        "return Apply(declared, None, False, self._subnet, self._abilities, host)",
    ),
    Mutant(
        "leftovers-stay",
        "what belongs to no workload any more is left running",
        OBSERVER,
        "for one in strangers(self._engine.machine, seen):",
        "for one in ():",
    ),
    Mutant(
        "frozen-daemon-tidies",
        "a daemon that does not understand its state removes what it does not know",
        OBSERVER,
        "        if not self._frozen:\n            for one in strangers(",
        "        if True:\n            for one in strangers(",
    ),
    Mutant(
        "acts-before-it-looked",
        "the runner begins before everything was observed",
        OBSERVER,
        "        await until_seen(partial(",
        "        self.synced.set()\n        await until_seen(partial(",
    ),
    Mutant(
        "cut-not-resumed",
        "what was said to be forgotten stays when the life dies that said so",
        "capsuled/retention.py",
        "        if self._journal is None or self._reader is None:\n            return\n        last",
        "        if self._journal is not None or self._reader is None:\n            return\n        last",
    ),
    Mutant(
        "removed-is-cut",
        "with what an entry said all of history goes",
        "capsuled/retention.py",
        "await self._journal.retain(base, not excised, excised)",
        "await self._journal.retain(base, True, excised)",
    ),
    Mutant(
        "base-forgotten",
        "a fold begins with the empty state although history was cut",
        BEGINNING,
        "    if base is None:\n",
        "    if True:\n",
    ),
    Mutant(
        "full-log-taken-for-empty",
        "a front log that is full to its last byte is taken for an empty one",
        "journal/ring.py",
        "if self._next <= oldest:",
        "if self._next < oldest:",
    ),
    Mutant(
        "entry-left-in-the-log",
        "an entry that stands alone behind what was moved is not read back from the front log",
        "journal/tail.py",
        "if one.last > after\n",
        "if one.last > after + 1\n",
    ),
    Mutant(
        "repeat-before-commit",
        "a repeated call is answered before what answered it first is durable",
        ENGINE,
        "        if answer is not None:\n            await self.durable()\n        return answer",
        "        return answer",
    ),
    Mutant(
        "judged-before-it-was-sealed",
        "a call is judged by the state from before its values were sealed",
        ENGINE,
        "verdict = caller.lost() or lacking or self._judge(self.machine, intent, caller.actor.role)",
        "verdict = caller.lost() or lacking or verdict",
    ),
    Mutant(
        "answer-of-a-later-moment",
        "a call is answered with the state of when it is durable, not with the one right after it",
        ENGINE,
        "        after = self.machine.fork() if isinstance(intent, _TOLD) else None\n"
        "        await self.durable(entries[-1][0].seq)\n",
        "        await self.durable(entries[-1][0].seq)\n"
        "        after = self.machine.fork() if isinstance(intent, _TOLD) else None\n",
    ),
    Mutant(
        "repeat-of-a-later-moment",
        "a repeated call is answered with the state of now",
        "capsuled/memory.py",
        "machine = recall(reader, batch[-1].header.seq).machine",
        "machine = recall(reader).machine",
    ),
    Mutant(
        "exec-before-it-is-told",
        "a program begins inside a workload before the entry that says so is durable",
        "capsuled/streams.py",
        "        await engine.durable(seq)\n        yield stream",
        "        yield stream",
    ),
    Mutant(
        "confirmed-before-it-boots",
        "an update is told to be confirmed before the boot loader has it for its default",
        "capsuled/updates/switching.py",
        _LOADER_WRITTEN + _CONFIRMED,
        _CONFIRMED + _LOADER_WRITTEN,
    ),
    Mutant(
        "side-log-read-in-twice",
        "what was done of updates while the journal took nothing is told to it again at each start",
        "capsuled/updates/reading_in.py",
        "[draft for one, draft in records if not stands(one)]",
        "[draft for one, draft in records]",
    ),
    Mutant(
        "image-goes-before-that-is-told",
        "an image is removed before the entry that asks for it is durable",
        "capsuled/image_cache.py",
        "            await self._engine.durable(seq)\n            async with",
        "            async with",
    ),
    Mutant(
        "left-whatever-the-loader-says",
        "the old system is told to boot next, whatever the boot loader said",
        "capsuled/updates/trial.py",
        "        if update.phase is not UpdatePhase.CONFIRMING:\n            return True\n        try:",
        "        if True:\n            return True\n        try:",
    ),
    Mutant(
        "drift-of-a-moment-ago",
        "rules that are just being changed are told as another hand's",
        "capsuled/network_watch.py",
        "if holds is not left or self._engine.machine.network != before:",
        "if holds is not left:",
    ),
    Mutant(
        "mended-drift-wakes-nobody",
        "that a drift was mended is looked for only when another is told",
        "capsuled/drift_watch.py",
        "await engine.moved(() if engine.machine.drifts else MARKING)",
        "await engine.moved(MARKING)",
    ),
    Mutant(
        "repeat-resolved-anew",
        "of a call that is repeated the image is asked of its registry once more",
        "capsuled/declare.py",
        "if not dry_run and (answer",
        "if False and (answer",
    ),
    Mutant(
        "removals-of-before-the-lock",
        "what is to leave the cache is looked up before its turn, and what was brought since leaves with it",
        "capsuled/image_cache.py",
        "            async with self._store.naming:\n"
        "                # A push of the same name may have come in between: then that name is not leaving any more.\n"
        "                records = [record for record, at in self._engine.machine.leaving.items() if at == seq]\n",
        "            records = [record for record, at in self._engine.machine.leaving.items() if at == seq]\n"
        "            async with self._store.naming:\n",
    ),
    Mutant(
        "one-that-stays-keeps-all",
        "a rollback of everything is refused for one workload that cannot be beside what stays",
        "capsuled/rollbacks.py",
        "return call if alone else self._together(call, caller.actor.role)",
        "return call",
    ),
    Mutant(
        "left-alone-not-left",
        "what needs one that cannot go back does so without it",
        "capsuled/rollbacks.py",
        "            needs_others = isinstance(verdict, Refusal) and verdict.reason in _TOGETHER\n",
        '            needs_others = isinstance(verdict, Refusal) and verdict.reason != "NO_SUCH_DEPENDENCY"\n',
    ),
    Mutant(
        "no-stop-on-a-full-disk",
        "a stop is refused on a full disk",
        "capsuled/engine.py",
        "_RELEASES = (\n    Stop\n    | Delete\n",
        "_RELEASES = (\n    Delete\n",
    ),
    Mutant(
        "own-change-told-as-drift",
        "rules that are about to be changed are told as another hand's doing",
        "capsuled/network_watch.py",
        "if not in_use(machine) or (before.ensured_seq < before.changed_seq and not left):",
        "if not in_use(machine):",
    ),
    Mutant(
        "policy-not-rolled-back",
        "a rollback does not take the drift policy back",
        "capsuled/resolve.py",
        "                depends_on=was.depends_on,\n                drift=was.drift,\n",
        "                depends_on=was.depends_on,\n",
    ),
)
