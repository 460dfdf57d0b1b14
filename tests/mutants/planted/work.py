"""Bugs of whoever does the work: the planner, the runner, the actions (effects/)."""

from tests.mutants.mutant import Mutant

RUNNER = "effects/runner.py"
ACTIONS = "effects/actions.py"
PLANNER = "effects/planner.py"

PLANTED = (
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
        "self._recorder.record(self._news(end), cause=started, vital=True)",
        "pass",
    ),
    Mutant(
        "link-left",
        "a removed workload leaves its link to the bridge",
        ACTIONS,
        "        if workload is not None and workload.address:\n            await self._unlink",
        "        if False:\n            await self._unlink",
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
    Mutant(
        "killed-without-being-asked",
        "a stop does not wait for a program to end by itself",
        PLANNER,
        "grace_ms = workload.spec.stop_grace_ms",
        "grace_ms = 0",
    ),
    Mutant(
        "volume-for-the-other-kind",
        "a volume is mounted for a microVM",
        "effects/volumes/actions.py",
        'driver.attach(name, uid) if kind == "microvm" else driver.mount(name, uid)',
        "driver.mount(name, uid)",
    ),
    Mutant(
        "unheard-start-keeps-its-link",
        "a microVM whose start was not told of has a link open that is gone (it was so until a soak told)",
        ACTIONS,
        "run.phase in (RunPhase.STARTING, RunPhase.RUNNING)",
        "run.phase is RunPhase.RUNNING",
    ),
    Mutant(
        "begun-anew-without-need",
        "a microVM is begun anew that has its link open",
        "effects/actions.py",
        "anew = runs and not await self._network.is_open(goal.name, goal.uid)",
        "anew = runs",
    ),
    Mutant(
        "link-left-for-the-next-run",
        "the next run begins without the link that another hand took from the one before",
        "effects/planner.py",
        "left = unlinked is not None and not unlinked.repair and not begins",
        "left = unlinked is not None and not unlinked.repair",
    ),
    Mutant(
        "restored-before-it-is-kept",
        "what a volume held is kept after it was restored",
        "effects/volume_planner.py",
        "    snapshot = due_snapshot(volume)\n"
        "    if snapshot is not None:\n"
        "        return TakeSnapshot(name, uid, snapshot.uid, volume.made_bytes, hold, attempt, snapshot.requested_at)\n"
        "    if volume.restoring and not volume.holder:\n"
        "        return RestoreVolume(name, uid, volume.restoring, volume.size_bytes, hold, attempt)\n",
        "    if volume.restoring and not volume.holder:\n"
        "        return RestoreVolume(name, uid, volume.restoring, volume.size_bytes, hold, attempt)\n"
        "    snapshot = due_snapshot(volume)\n"
        "    if snapshot is not None:\n"
        "        return TakeSnapshot(name, uid, snapshot.uid, volume.made_bytes, hold, attempt, snapshot.requested_at)\n",
    ),
)
