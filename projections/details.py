"""The one word behind a phase that says more: what `list` shows, what clients branch on, what `--phase` takes.

No imports of ours: capsulectl reads this table before it knows any machine.
"""

from enum import StrEnum


class Detail(StrEnum):
    """Every word there is."""

    PENDING = "pending"
    PULLING = "pulling"
    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    CHECKING = "checking"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    REPLACING = "replacing"
    STOPPING = "stopping"
    STOPPED = "stopped"
    COMPLETED = "completed"
    RESTARTING = "restarting"
    BACKOFF = "backoff"
    CRASH_LOOP = "crash-loop"
    GAVE_UP = "gave-up"
    RETRYING = "retrying"
    FAILED = "failed"
    DELETING = "deleting"
