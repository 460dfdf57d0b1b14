"""One table says, for every method, who may call it and whether it acts. A method that stands nowhere is an admin's.

Roles include those below them. Fields that need more than their method are judged on what would be declared
(projections/rights.py), so that every way to declare it meets the same rule.
"""

from typing import Literal

import msgspec

from journal.specs import Role

Needed = Role | Literal["open"]


class Rule(msgspec.Struct, frozen=True):
    """`role`: who may call it at least; `open`: anybody, without a token. `acts`: it may change something, and is a
    fact in the journal. `noted`: it is a read for the audit stream. `why` it takes that role, where it is not plain."""

    role: Needed
    acts: bool
    noted: bool
    why: str = ""


def _reads(role: Needed) -> Rule:
    return Rule(role, acts=False, noted=role != "open")


def _acts(role: Needed, why: str = "") -> Rule:
    return Rule(role, acts=True, noted=False, why=why)


METHODS: dict[str, Rule] = {
    "CapsuleService/GetInfo": _reads("reader"),
    "CapsuleService/StreamLogs": _reads("reader"),
    "CapsuleService/UpdateOS": _acts("operator"),
    "CapsuleService/UpdateConfirm": _acts("operator"),
    "CapsuleService/RebootNode": _acts("operator"),
    "DebugService/Open": _acts("admin", why="what it opens is root on the machine"),
    "DiskService/Grow": _acts("operator"),
    "DriftService/List": _reads("reader"),
    "DriftService/Watch": _reads("reader"),
    "HistoryService/List": _reads("reader"),
    "HistoryService/Revisions": _reads("reader"),
    "HistoryService/Show": _reads("reader"),
    "HistoryService/Why": _reads("reader"),
    "HistoryService/AsOf": _reads("reader"),
    # As Diff, it tells whether sealed values are the same, but of two that were declared: nobody brings a guess.
    "HistoryService/Compare": _reads("reader"),
    "HistoryService/Replay": _reads("reader"),
    "HistoryService/Verify": _reads("reader"),
    "HistoryService/Stats": _reads("reader"),
    "HistoryService/Export": _reads("reader"),
    "IdentityService/Adopt": _acts("open"),  # open only while the claim window is: admission says so
    "IdentityService/WhoAmI": _reads("reader"),
    "IdentityService/KeyAdd": _acts("admin"),
    "IdentityService/KeyList": _reads("reader"),
    "IdentityService/KeyRemove": _acts("admin"),
    "OperatorService/SetRole": _acts("admin"),
    "ImageService/List": _reads("reader"),
    "ImageService/Push": _acts("operator"),
    "ImageCacheService/Pull": _acts("operator"),
    "ImageCacheService/Held": _reads("operator"),  # whoever may push
    "ImageCacheService/Remove": _acts("operator"),
    "ImageCacheService/Collect": _acts("operator"),
    "RegistryService/Login": _acts("operator"),
    "RegistryService/Logout": _acts("operator"),
    "RegistryService/List": _reads("reader"),
    "SecretService/Create": _acts("operator"),
    "SecretService/Rotate": _acts("operator"),
    "SecretService/List": _reads("reader"),
    # Whoever may enter workloads can read there what they are given. That it was shown is a fact, not a read.
    "SecretService/Reveal": _acts("operator"),
    "SecretService/RevealEnv": _acts("operator"),
    "SecretService/Remove": _acts("operator"),
    "InstallService/Status": _reads("open"),  # registered in installer mode only
    "InstallService/Install": _acts("open"),
    "MachineService/ApplyAll": _acts("operator"),
    # A dry run, which is written nowhere. It tells whether a sealed value equals a guess: not for readers.
    "MachineService/Diff": Rule("operator", acts=False, noted=False),
    "MachineService/Watch": _reads("reader"),
    "MoveService/Secrets": _acts("admin", why="it tells every sealed value at once"),
    "MoveService/Restore": _acts("admin", why="it brings the keys that may drive the machine"),
    "PowerService/PowerOff": _acts("operator"),
    "RetentionService/Truncate": _acts("admin", why="what goes is gone"),
    "RetentionService/Excise": _acts("admin", why="what goes is gone"),
    "RollbackService/Rollback": _acts("operator"),
    "SnapshotService/Take": _acts("operator"),
    "SnapshotService/List": _reads("reader"),
    "SnapshotService/Restore": _acts("operator"),
    "SnapshotService/Delete": _acts("operator"),
    "StatsService/Sample": _reads("reader"),
    "StatsService/Watch": _reads("reader"),
    "UpdateService/Status": _reads("reader"),
    "UpdateService/List": _reads("reader"),
    "UpdateService/Rollback": _acts("operator"),
    "UpdateService/KeyAdd": _acts("admin", why="whose signature it is decides what the machine runs"),
    "UpdateService/KeyList": _reads("reader"),
    "UpdateService/KeyRemove": _acts("admin", why="without any key the machine takes bundles that nobody signed"),
    "VolumeService/Create": _acts("operator"),
    "VolumeService/Get": _reads("reader"),
    "VolumeService/List": _reads("reader"),
    "VolumeService/Delete": _acts("operator"),
    "VolumeService/Resize": _acts("operator"),
    "VolumeDataService/Export": _acts("operator", why="it takes a snapshot, and all that a workload wrote leaves"),
    "VolumeDataService/Import": _acts("operator"),
    "WorkloadService/Apply": _acts("operator"),
    "WorkloadService/Get": _reads("reader"),
    "WorkloadService/List": _reads("reader"),
    "WorkloadService/Delete": _acts("operator"),
    "WorkloadService/Logs": _reads("reader"),
    "WorkloadService/Exec": _acts("operator"),
    "WorkloadService/Restart": _acts("operator"),
    "WorkloadService/Stop": _acts("operator"),
    "WorkloadService/Start": _acts("operator"),
    "WorkloadService/CopyTo": _acts("operator"),
    "WorkloadService/CopyFrom": _acts("operator"),
    "grpc.health.v1.Health/Check": _reads("open"),  # says that the API serves, and nothing else
    "grpc.health.v1.Health/List": _reads("reader"),
    "grpc.health.v1.Health/Watch": _reads("reader"),
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo": _reads("admin"),
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _reads("admin"),
}

UNLISTED = _acts("admin")

INSIDE: dict[str, str] = {
    "WorkloadService/Exec": "config.name",
    "WorkloadService/CopyTo": "metadata.name",
    "WorkloadService/CopyFrom": "name",
}
"""These reach inside the workload that their first message names here: into one that is root on the machine by another
name, they are an admin's."""


def rule_of(method: str) -> Rule:
    """The rule of a method, named like `WorkloadService/Apply`, or with its package where that is not ours."""
    return METHODS.get(method, UNLISTED)
