"""Somebody else on this machine: no rights of root's, but that he may read all there is. So he runs the house wherever it
lies, in a directory that only its owner enters or under a umask that shuts out everybody else."""

_READS = "=-all,+dac_read_search"


def as_user(uid: int) -> tuple[str, ...]:
    """The prefix that runs a command as him. What he may not open for writing, as a socket, he may not."""
    return (
        "setpriv", "--reuid", str(uid), "--clear-groups", f"--inh-caps{_READS}", f"--ambient-caps{_READS}",
    )  # fmt: skip
