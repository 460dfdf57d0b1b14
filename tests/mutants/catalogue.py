"""The bugs: each is a piece of the house's code and what stands there instead. All of them were thinkable slips.

A piece that is not there exactly once any more is found by test_catalogue.py: move the bug with the code.
"""

from typing import NamedTuple


class Mutant(NamedTuple):
    """`what` goes wrong, in words; in `file`, `old` becomes `new`. `also`: what two places have to agree about, in the
    other."""

    name: str
    what: str
    file: str
    old: str
    new: str
    also: tuple[tuple[str, str, str], ...] = ()

    @property
    def edits(self) -> tuple[tuple[str, str, str], ...]:
        """Each file with what stands there and what shall."""
        return ((self.file, self.old, self.new), *self.also)


ENGINE = "capsuled/engine.py"
CALL_ENTRIES = "capsuled/call_entries.py"
OBSERVER = "capsuled/observer.py"
RUNNER = "effects/runner.py"
ACTIONS = "effects/actions.py"
PLANNER = "effects/planner.py"
WORKLOADS = "projections/workloads.py"
OBSERVATIONS = "projections/observations.py"
ADMISSION = "projections/admission.py"

MUTANTS = (
    # --- the writer and the engine
    Mutant(
        "answer-before-commit",
        "a call is answered before its entry is durable",
        ENGINE,
        "        await self.durable(entries[-1][0].seq)\n        return Outcome(",
        "        return Outcome(",
    ),
    Mutant(
        "repeat-forgotten",
        "a repeated call is carried out again",
        CALL_ENTRIES,
        "record = machine.calls.get(key_of(caller))",
        "record = None",
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
        ENGINE,
        "if machine.volumes.get(name) is not volume:",
        "if False:",
    ),
    Mutant(
        "workload-wakes-nobody",
        "of a batch only the first workload is woken",
        ENGINE,
        "if machine.workloads.get(name) is not workload or isinstance(event, SecretRotated):",
        "if name == names[0] and machine.workloads.get(name) is not workload:",
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
    # --- the runner
    Mutant(
        "acts-before-it-is-told",
        "an effect begins before the entry that says so is durable",
        RUNNER,
        "        await recorder.durable()\n        try:\n            events",
        "        try:\n            events",
    ),
    Mutant(
        "goal-not-looked-at-again",
        "a goal that waited for its turn is reached although it is not due any more",
        RUNNER,
        "            if goal == self._due(name):\n                await self._reach",
        "            if True:\n                await self._reach",
    ),
    Mutant(
        "retry-lost",
        "what failed once is given up",
        RUNNER,
        "final = _is_final(goal, error) and not self._is_overtaken(goal)",
        "final = True",
    ),
    Mutant(
        "wake-lost",
        "a lane that is at work does not hear of a change",
        RUNNER,
        "            lane.cause = cause or lane.cause\n            lane.woken.set()",
        "            lane.cause = cause or lane.cause",
    ),
    Mutant(
        "dependants-not-woken",
        "who waits for another is not woken when that runs",
        RUNNER,
        "for waiting in self._waiting.pop(key, ()):",
        "for waiting in ():",
    ),
    Mutant(
        "back-off-by-anybodys-clock",
        "a deadline of an earlier boot stands, and is waited for",
        RUNNER,
        "if deadline is None or deadline.boot != self._clock.boot_id:",
        "if deadline is None:",
        (("projections/boots.py", "trouble=trouble, **NOW)", "trouble=trouble)"),),
    ),
    # --- the actions
    Mutant(
        "forgotten-before-told",
        "the runtime forgets a run before its end is durable",
        ACTIONS,
        "            await self._recorder.durable()\n        async with self._room:",
        "        async with self._room:",
    ),
    Mutant(
        "end-not-told",
        "the end of a run that was stopped is not journaled",
        ACTIONS,
        "self._recorder.record(self._news(end), cause=started, reserved=True)",
        "pass",
    ),
    Mutant(
        "link-left",
        "a removed workload leaves its link to the bridge",
        ACTIONS,
        "        if workload is not None and workload.address:\n            await self._unlink",
        "        if False:\n            await self._unlink",
    ),
    # --- the planner
    Mutant(
        "restart-ignored",
        "a restart ends nothing",
        PLANNER,
        "        or run.number <= workload.superseded\n        or run.revision != workload.revision\n",
        "        or run.revision != workload.revision\n",
    ),
    Mutant(
        "cut-start-renumbered",
        "a start that was cut is made again under the next number",
        PLANNER,
        "        case RunPhase.STARTING:\n            return run.number",
        "        case RunPhase.STARTING:\n            return run.number + 1",
    ),
    Mutant(
        "volume-not-mounted",
        "a run begins without its volume",
        PLANNER,
        "    if mount is not None:\n        return mount\n",
        "",
    ),
    Mutant(
        "waits-for-nobody",
        "a run begins before those that it depends on",
        PLANNER,
        "    if waits(machine, workload):\n        return None\n",
        "",
    ),
    Mutant(
        "ends-before-its-users",
        "what others depend on is stopped before them",
        PLANNER,
        "        if users_left(machine, workload):\n            return None\n",
        "",
    ),
    # --- the fold
    Mutant(
        "stale-uid",
        "what is told of a deleted incarnation is taken for its successor's",
        WORKLOADS,
        "return workload if workload is not None and workload.uid == uid else None",
        "return workload",
    ),
    Mutant(
        "stale-run",
        "the end of an earlier run is taken for the present one's",
        WORKLOADS,
        "return None if run is None or run.number != number else (workload, run)",
        "return None if run is None else (workload, run)",
    ),
    Mutant(
        "stop-keeps-the-run",
        "a run that was stopped is the wanted one again after the next start",
        WORKLOADS,
        'superseded=_supersede(workload, desired != "running"),',
        "superseded=workload.superseded,",
    ),
    Mutant(
        "pinned-to-the-former-volume",
        "a volume that was created again keeps the former one's holder",
        "projections/volumes.py",
        "return volume if volume is not None and volume.uid == uid else None",
        "return volume",
    ),
    Mutant(
        "rollback-of-the-row",
        "an end does not count its restart",
        WORKLOADS,
        "streak=event.streak,\n        restarts=",
        "streak=0,\n        restarts=",
    ),
    # --- what is observed
    Mutant(
        "start-in-flight-lost",
        "a run that is just being started is taken for lost",
        OBSERVATIONS,
        "if key in lived and key not in shown:",
        "if key not in shown:",
    ),
    Mutant(
        "shim-without-process",
        "a container without a process counts as alive",
        OBSERVATIONS,
        'for one in seen if one.status != "created"}',
        "for one in seen}",
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
        "end-told-twice",
        "an end that is reported twice is journaled twice",
        OBSERVATIONS,
        'if seen.status != "stopped" or seen.exit_code is None or not can(run.phase, RunMove.EXIT):',
        'if seen.status != "stopped" or seen.exit_code is None:',
    ),
    Mutant(
        "late-report-revives",
        "a report that comes after the end of its run brings it to life",
        OBSERVATIONS,
        "if not can(run.phase, RunMove.START) or seen.unexecutable or seen.fault is not None:",
        "if seen.unexecutable or seen.fault is not None:",
    ),
    Mutant(
        "acts-before-it-looked",
        "the runner begins before everything was observed",
        OBSERVER,
        "        await until_seen(partial(",
        "        self.synced.set()\n        await until_seen(partial(",
    ),
    # --- microVMs
    Mutant(
        "others-runs-are-lost",
        "what a driver of one kind does not see of another kind is taken for lost",
        OBSERVATIONS,
        "run.phase not in LIVE or workload.kind != kind:",
        "run.phase not in LIVE:",
    ),
    Mutant(
        "guest-killed-by-nobody",
        "a microVM that failed by itself is told as another hand's",
        OBSERVATIONS,
        'killed = seen.fault == "killed" if workload.kind == "microvm" else seen.exit_code == _KILLED and not seen.oom',
        "killed = seen.exit_code == _KILLED and not seen.oom",
    ),
    Mutant(
        "former-secrets-in-a-guest",
        "a microVM is not given the values that its secrets have now",
        ACTIONS,
        "                await self._renew(goal)\n",
        "",
    ),
    Mutant(
        "only-those-that-run-are-renewed",
        "a microVM whose start was not told of keeps former secrets",
        ACTIONS,
        "        if run is None or run.phase not in LIVE:\n            return\n        directories",
        '        if run is None or run.phase != "running":\n            return\n        directories',
    ),
    Mutant(
        "volume-for-the-other-kind",
        "a volume is mounted for a microVM",
        "effects/volumes/actions.py",
        'driver.attach(name, uid) if kind == "microvm" else driver.mount(name, uid)',
        "driver.mount(name, uid)",
    ),
    # --- admission and the policy
    Mutant(
        "apply-onto-a-delete",
        "an apply is taken while the workload is being deleted",
        ADMISSION,
        'if before is not None and before.desired == "deleting":',
        "if False:",
    ),
    Mutant(
        "address-twice",
        "two workloads of a machine get one address",
        "projections/allocator.py",
        "self._addresses = {one.address for one in machine.workloads.values() if one.address}",
        "self._addresses: set[str] = set()",
    ),
    Mutant(
        "never-means-always",
        "a program that is to run once runs again",
        "projections/restarts.py",
        'if unwanted or policy.mode == "never" or',
        "if unwanted or",
    ),
    # --- what was thought of later, with the judges in mind
    Mutant(
        "change-not-seen",
        "what is declared with another command, and the same image, is not taken for a change",
        "projections/allocator.py",
        "item = replace(item, changed=before.spec != item.container)",
        "item = replace(item, changed=before.spec.image != item.container.image)",
    ),
    Mutant(
        "fork-without-streams",
        "a copy of the state forgets which streams are open",
        "projections/state.py",
        "            streams=dict(self.streams),\n",
        "",
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
        "streak-goes-on",
        "an apply does not begin the pauses between runs anew",
        WORKLOADS,
        "\n        word_at=header.at,\n        streak=0,\n",
        "\n        word_at=header.at,\n        streak=before.streak,\n",
    ),
    Mutant(
        "rotated-and-not-told",
        "what runs with the former value of a secret is not known to",
        "projections/secrets.py",
        "if event.name in used_by(workload):\n            machine.workloads[name] = _rotated_for",
        "if event.name == name:\n            machine.workloads[name] = _rotated_for",
    ),
    Mutant(
        "secret-taken-from-its-users",
        "a secret is removed although workloads use it",
        "projections/secret_admission.py",
        "    if not users:\n        return (SecretRemoved(",
        "    if True:\n        return (SecretRemoved(",
    ),
    Mutant(
        "volume-shrinks",
        "a volume is to be smaller than it is",
        "projections/volume_admission.py",
        "if size_bytes < volume.made_bytes:",
        "if False:",
    ),
    Mutant(
        "no-copy-before-a-restore",
        "a volume goes back without a snapshot of what it held",
        "projections/volume_admission.py",
        "return (SnapshotRequested(volume.name, volume.uid, safety, safety=True), restore, *told)",
        "return (restore, *told)",
    ),
    Mutant(
        "rolled-back-to-the-present-image",
        "a rollback takes what the image's name means today",
        "capsuled/resolve.py",
        "return Apply(declared, None, True, self._subnet, self._abilities, host)",
        "return Apply(declared, None, False, self._subnet, self._abilities, host)",
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
        "last-admin-gone",
        "the last administrator's key is removed",
        "projections/enrolment.py",
        '    if _is_last_admin(machine, call.kid):\n        return conflict(\n            "LAST_ADMIN",',
        '    if False:\n        return conflict(\n            "LAST_ADMIN",',
    ),
    Mutant(
        "image-collected-in-use",
        "a clean-up takes images that workloads run from",
        "projections/images.py",
        "if everything and image.pin.index_digest not in keep",
        "if everything",
    ),
    Mutant(
        "one-bad-look-is-ill",
        "a check that fails once is believed at once",
        "projections/health.py",
        'if failures < check.retries or run.health == "unhealthy":',
        'if run.health == "unhealthy":',
    ),
    Mutant(
        "ill-goes-on",
        "what its check says is ill is not ended",
        WORKLOADS,
        "ailing=run.ailing or event.restart,",
        "ailing=run.ailing,",
    ),
    Mutant(
        "needs-only-that-it-runs",
        "a run begins before the check of what it depends on says that it is well",
        "projections/dependencies.py",
        'ready = other.spec.health is None or run.health == "healthy"',
        "ready = True",
    ),
    Mutant(
        "killed-without-being-asked",
        "a stop does not wait for a program to end by itself",
        PLANNER,
        "grace_ms = workload.spec.stop_grace_ms",
        "grace_ms = 0",
    ),
    Mutant(
        "ports-of-the-stopped",
        "host ports lead to a workload that is stopped",
        "projections/network.py",
        'if not is_bridged(workload) or workload.desired != "running":',
        "if not is_bridged(workload):",
    ),
    Mutant(
        "report-means-repair",
        "what another hand ended is begun again although it was only to be reported",
        "projections/restarts.py",
        'if foreign and workload.drift == "report":',
        "if False:",
    ),
)
