"""The planner's part for secrets' files: they are in memory for as long as a run needs them, and are what secrets are
now. Pure.
"""

from effects.goals import EnsureSecretFiles, RemoveSecretFiles
from projections.phases import LIVE
from projections.secrets import files_for, living_spec
from projections.state import Machine, Workload


def plan_files(machine: Machine, workload: Workload, attempt: int) -> EnsureSecretFiles | None:
    """The files of the run that lives or is about to begin, if they are not so yet."""
    wanted = files_for(machine, living_spec(workload))
    if not wanted or wanted == workload.secret_files:
        return None
    return EnsureSecretFiles(workload.name, workload.uid, wanted, workload.retry_of("EnsureSecretFiles"), attempt)


def plan_no_files(workload: Workload, due: bool, attempt: int) -> RemoveSecretFiles | None:
    """What there is of files, or may be, when nothing lives, and nothing that needs them is `due`."""
    run = workload.run
    alive = run is not None and run.phase in LIVE
    if not (workload.secret_files or workload.secret_traces) or alive or (due and workload.spec.secrets):
        return None
    return RemoveSecretFiles(workload.name, workload.uid, workload.retry, attempt)
