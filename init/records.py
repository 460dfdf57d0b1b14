"""How a daemon ended, in files in memory, for the next one to put into the journal: this one cannot, it is gone.

A record's first line is `AT_NS LIVED_MS HOW`, where HOW is like `exit 1`, `signal 9` or `hung`; behind it stands the
end of what the daemon had written to standard error, as it is.
"""

import os

DIRECTORY = "/run/capsule/init/ends"
STDERR = "/run/capsule/init/stderr"
TAIL_BYTES = 16 << 10
STDERR_BYTES = 1 << 20
KEPT = 20


def how_text(status: int, hung: bool) -> str:
    """Of a status as waitpid gives it."""
    if hung:
        return "hung"
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return f"exit {os.waitstatus_to_exitcode(status)}"


def write(at_ns: int, lived_ms: int, how: str, directory: str = DIRECTORY, stderr: str = STDERR) -> None:
    """One more, unless there are so many that nobody reads them. The time in its name puts them in order."""
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        if len(os.listdir(directory)) >= KEPT:
            return
        scratch = f"{directory}/.new"
        with open(scratch, "wb") as file:
            file.write(f"{at_ns} {lived_ms} {how}\n".encode() + tail(TAIL_BYTES, stderr))
        os.rename(scratch, f"{directory}/{at_ns:020d}")
    except OSError:
        pass  # memory is full; the daemon's end is a line on the console all the same


def tail(most: int, path: str = STDERR) -> bytes:
    """The end of what the daemon wrote to standard error."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most))
            return file.read()
    except OSError:
        return b""


def cut_stderr(path: str = STDERR) -> None:
    """A daemon that keeps talking there must not fill the memory; it appends, so it goes on at the beginning."""
    try:
        if os.stat(path).st_size > STDERR_BYTES:
            os.truncate(path, 0)
    except OSError:
        pass
