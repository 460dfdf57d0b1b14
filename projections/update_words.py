"""What happened to an update, in one line each. Pure."""

from typing import assert_never

from journal.events import (
    BootStarted,
    UpdateArmed,
    UpdateArming,
    UpdateBegun,
    UpdateConfirmed,
    UpdateConfirming,
    UpdateDisarmed,
    UpdateEvidenceFound,
    UpdateHealthChanged,
    UpdateKeyEnrolled,
    UpdateKeyRemoved,
    UpdateReturning,
    UpdateRolledBack,
    UpdateStaged,
    UpdateStagingFailed,
)
from projections.causes import WORDS
from projections.words import bytes_text

UpdateEvent = (
    BootStarted
    | UpdateBegun
    | UpdateStaged
    | UpdateStagingFailed
    | UpdateArming
    | UpdateArmed
    | UpdateDisarmed
    | UpdateHealthChanged
    | UpdateConfirming
    | UpdateConfirmed
    | UpdateReturning
    | UpdateEvidenceFound
    | UpdateRolledBack
    | UpdateKeyEnrolled
    | UpdateKeyRemoved
)


def system_text(version: str, commit: str) -> str:
    """A system, as it is called everywhere."""
    return f"{version} ({commit})" if commit else version


def update_text(event: UpdateEvent) -> str:
    """What happened."""
    match event:
        case BootStarted():
            how = f", to be confirmed: update {event.uid}" if event.tentative else ""
            return f"{event.slot} booted with {event.release}{how}"
        case UpdateBegun():
            new, old = system_text(event.version, event.commit), system_text(event.from_version, event.from_commit)
            if event.kind == "rollback":
                data = f", with the volumes as before update {event.data_of}" if event.data_of else ""
                return f"{event.slot} shall run again: {new}, in the place of {old}{data}"
            signed = f", signed by {event.signed_by[:12]}…" if event.signed_by else ", not signed"
            kept = f"; {', '.join(event.keeps)} kept as {event.snapshot}" if event.keeps else ""
            return f"{event.slot} is written: {new}, {bytes_text(event.size_bytes)}{signed}; {old} runs{kept}"
        case UpdateStaged():
            return f"update {event.uid} is on the disk, read back and whole ({event.took_ms / 1000:.1f} s)"
        case UpdateStagingFailed():
            return f"update {event.uid} came to nothing: {event.message}"
        case UpdateArming():
            return f"update {event.uid}: the boot loader is told"
        case UpdateArmed():
            return f"update {event.uid}: the next boot is the new system's, once{_recovered(event.recovered)}"
        case UpdateDisarmed():
            why = {
                "operator": "an operator took it back",
                "write-failed": "the boot loader's variables were not written",
                "damaged": "the boot loader's variables were damaged while it was told",
            }
            said = why.get(event.reason, "the power was lost before the boot loader was told")
            return f"update {event.uid} is dropped: {said}{f' ({event.message})' if event.message else ''}"
        case UpdateHealthChanged():
            failing = "; ".join(f"{one.name}: {one.message}" for one in event.failing)
            return f"update {event.uid}: {failing or 'all is well'}"
        case UpdateConfirming():
            said_by = {
                "operator": "an operator said so",
                "healthy": "it was healthy for as long as was asked for",
                "by-hand": "the boot loader's default is its slot already, and who said so is not known here",
            }
            return f"update {event.uid} shall stay: {said_by[event.how]}"
        case UpdateConfirmed():
            return f"update {event.uid} is confirmed: {event.slot} boots from now on{_recovered(event.recovered)}"
        case UpdateReturning():
            data = ", and its volumes with it" if event.with_data else ""
            return f"update {event.uid} goes back{data}: {WORDS[event.cause]}{_more(event.message)}"
        case UpdateEvidenceFound():
            marks = event.evidence.marks
            far = f"it came as far as `{marks[-1].name}`" if marks else "it left no mark of a stage"
            return f"what the boot of {event.evidence.slot} left was gathered: {far}"
        case UpdateRolledBack():
            sure = {"certain": "", "likely": " (likely)", "none": ""}[event.confidence]
            how = f"is not kept, though {event.runs} runs" if event.runs else "was rolled back"
            return f"update {event.uid} {how}: {WORDS[event.cause]}{sure}{_more(event.message)}"
        case UpdateKeyEnrolled():
            return f"updates may be signed by {event.name or 'a key'} ({event.kid[:12]}…) from now on"
        case UpdateKeyRemoved():
            return f"what {event.kid[:12]}… signs is no update any more"
        case _:
            assert_never(event)


def _recovered(recovered: bool) -> str:
    return " (said by the next boot: the power was lost before it could be)" if recovered else ""


def _more(message: str) -> str:
    return f": {message}" if message else ""
