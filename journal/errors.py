"""What can be wrong with a journal, by condition. Each message says what, why, and what to do."""


class JournalError(Exception):
    """Base; `reason` is for machines."""

    reason = "JOURNAL"


class JournalLocked(JournalError):
    """Raised when another daemon has this state directory."""

    reason = "JOURNAL_LOCKED"


class ForeignDirectory(JournalError):
    """Raised when the directory holds something that is no journal of Capsule's."""

    reason = "FOREIGN_DIRECTORY"


class UnknownFormat(JournalError):
    """Raised when a newer release wrote the journal in a form that this one does not know."""

    reason = "UNKNOWN_FORMAT"


class JournalDamaged(JournalError):
    """Raised when the environment or the chain is not whole."""

    reason = "JOURNAL_DAMAGED"


class JournalReadOnly(JournalError):
    """Raised when the journal's file system cannot be written."""

    reason = "JOURNAL_READ_ONLY"


class AboveLevel(JournalError):
    """Raised for an entry that the system before could not read, while the one that runs is on trial."""

    reason = "ABOVE_LEVEL"


class ContentGone(JournalError):
    """Raised by a fold that comes to an entry whose content was removed and that changed the state."""

    reason = "CONTENT_GONE"

    def __init__(self, seq: int) -> None:
        super().__init__(
            f"the content of entry {seq} was removed (`capsulectl history --type journal.excised` says why): how the "
            "machine was between there and that removal cannot be told any more"
        )
        self.seq = seq


class BeginningGone(ContentGone):
    """Raised by a fold that would have to begin where history was cut, once content behind that was removed, too."""

    def __init__(self, first: int, base: int) -> None:
        JournalError.__init__(
            self,
            f"history begins at entry {first}, and since the content of a later entry was removed, too, the state that "
            f"it began with is not kept: how the machine was before entry {base} cannot be told any more",
        )
        self.seq = base


class HistoryCut(JournalError):
    """Raised when what an answer stands on was cut from the journal."""

    reason = "HISTORY_CUT"


class JournalFull(JournalError):
    """Raised by an append when the disk cannot give the journal more space. Nothing was written."""

    reason = "JOURNAL_FULL"


class JournalBusy(JournalError):
    """Raised when as many read the journal as can at a time. It is as it was: who asks again finds room."""

    reason = "JOURNAL_BUSY"


class JournalFailed(JournalError):
    """Raised when a commit failed: what was waiting is not acknowledged, and the process must end. `why`: the fault."""

    reason = "JOURNAL_FAILED"

    def __init__(self, message: str, why: str = "") -> None:
        super().__init__(message)
        self.why = why
