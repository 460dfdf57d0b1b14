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


class JournalFull(JournalError):
    """Raised by an append when the disk cannot give the journal more space. Nothing was written."""

    reason = "JOURNAL_FULL"


class JournalFailed(JournalError):
    """Raised when a commit failed: what was waiting is not acknowledged, and the process must end. `why`: the fault."""

    reason = "JOURNAL_FAILED"

    def __init__(self, message: str, why: str = "") -> None:
        super().__init__(message)
        self.why = why
