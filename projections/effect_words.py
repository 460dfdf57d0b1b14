"""What an effect that failed was to do, in words. Pure; a newer release's is told by its name."""

from journal.events import EffectFailed

FAILED: dict[str, str] = {
    "EnsureNetwork": "the bridge for {name} could not be made",
    "AttachNetwork": "{name} could not be linked to the bridge",
    "DetachNetwork": "{name}'s link to the bridge could not be removed",
    "EnsureSecretFiles": "{name}'s secrets could not be put in memory",
    "RemoveSecretFiles": "{name}'s secrets could not be taken out of memory",
    "EnsureVolume": "volume {name} could not be made, or grown",
    "RemoveVolume": "volume {name} could not be removed",
    "TakeSnapshot": "snapshot {snapshot} of volume {name} could not be taken",
    "RemoveSnapshot": "snapshot {snapshot} of volume {name} could not be removed",
    "RestoreVolume": "volume {name} could not be restored from snapshot {snapshot}",
    "MountVolume": "a volume of {name} could not be mounted",
    "UnmountVolume": "a volume of {name} could not be unmounted",
    "EnsureImage": "{name}'s image could not be fetched",
    "StartRun": "{name} run {run} could not be started",
    "StopRun": "{name} run {run} could not be stopped",
    "CleanRun": "what {name} run {run} left could not be cleared away",
    "RemoveWorkload": "{name} could not be removed",
}
"""By the effect's name, as effects/goals.py has it: a test says that none is missing."""


def failed_text(event: EffectFailed) -> str:
    """The failure without its reason, as the beginning of a sentence."""
    words = FAILED.get(event.effect)
    if words is None:
        return f"{event.name}: {event.effect}{f' run {event.run}' if event.run else ''} failed"
    return words.format(name=event.name, run=event.run, snapshot=event.snapshot)
