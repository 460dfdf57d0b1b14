"""The one module that starts and reaps processes. Nothing else calls exec or wait.

A supervised process is started again when it ends, after a back-off that is forgotten once it ran for a while.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from capsuled.undumped import CoreLimit, let_dump
from effects.command import how_it_ended

log = logging.getLogger(__name__)

FIRST_DELAY_S = 0.05
CAP_DELAY_S = 5.0
STABLE_S = 30.0
STOP_S = 10.0
UMASK = 0o022
"""Under which is made what others have to reach, whatever the umask of who started us: containerd's directories are
roots of containers whose users are not root. What is nobody else's has its mode where it is made."""
_LINE_BYTES = 64 << 10
_WORDS_BYTES = 400


class CommandFailed(Exception):
    """Raised when a command ended with a code other than 0; the message can be pasted into a shell. `out`: what it had
    printed until then."""

    def __init__(self, message: str, out: bytes = b"") -> None:
        super().__init__(message)
        self.out = out


async def run(*argv: str, stdin: bytes = b"", heard: Callable[[], None] | None = None) -> bytes:
    """Run a command to its end on `stdin` and return its output. `heard`, instead of any `stdin`: called whenever some
    of that comes. Raises CommandFailed."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *argv, stdout=pipe, stderr=pipe, stdin=pipe if stdin else asyncio.subprocess.DEVNULL
    )
    try:
        out, err = await (child.communicate(stdin or None) if heard is None else _followed(child, heard))
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        raise
    if child.returncode:
        how = how_it_ended(child.returncode)
        raise CommandFailed(f"`{' '.join(argv)}`: {how}: {err.decode(errors='replace').strip()[-500:]}", out)
    return out


async def _followed(child: asyncio.subprocess.Process, heard: Callable[[], None]) -> tuple[bytes, bytes]:
    """As `communicate`: output and errors, and it has ended."""
    assert child.stdout is not None and child.stderr is not None
    complaints = asyncio.ensure_future(child.stderr.read())
    pieces: list[bytes] = []
    try:
        while piece := await child.stdout.read(_LINE_BYTES):
            heard()
            pieces.append(piece)
        err = await complaints
    finally:
        complaints.cancel()
    await child.wait()
    return b"".join(pieces), err


async def outcome(*argv: str) -> tuple[int, str]:
    """Run a command to its end, whatever it is; its exit code (negative: the signal) and all that it printed."""
    child = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "LC_ALL": "C"},
    )
    try:
        said, _ = await child.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        raise
    return child.returncode or 0, said.decode(errors="replace")


async def narrated(*argv: str, told: Callable[[str], None]) -> int:
    """Run a command to its end, whatever it is; its exit code (negative: the signal). Each line that it prints, or that
    what it runs prints, is `told` when it comes. Given up, it is ended with all that it runs."""
    child = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "LC_ALL": "C"},
        start_new_session=True,
        limit=_LINE_BYTES,
    )
    assert child.stdout is not None
    try:
        while line := await _line(child.stdout):
            if text := line.decode(errors="replace").strip():
                told(text)
        return await child.wait()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()
        raise


async def _line(stream: asyncio.StreamReader) -> bytes:
    """The next line, or the first part of one without an end; empty at the end."""
    try:
        return await stream.readline()
    except ValueError:
        return b"\n"  # longer than anybody wants to know


async def beside(
    *argv: str, stdin: int | None, stdout: int | None, keep: tuple[int, ...]
) -> asyncio.subprocess.Process:
    """Start a process that works beside this one: on these descriptors (None: nothing), with those in `keep` open in
    it. Whoever asked for it waits for its end. Its errors go where ours go."""
    nothing = asyncio.subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(
        *argv,
        stdin=nothing if stdin is None else stdin,
        stdout=nothing if stdout is None else stdout,
        pass_fds=keep,
        env={},
        umask=UMASK,
        start_new_session=True,
    )


async def supervise(
    argv: Sequence[str],
    log_file: Path,
    before: Callable[[], None] = lambda: None,
    cap_delay_s: float = CAP_DELAY_S,
    environment: Mapping[str, str] = MappingProxyType({}),
    core_limit: CoreLimit | None = None,
) -> None:
    """Keep a process running until cancelled; then end it. It ends with this process, too. `before` each start; after
    ends in a row the next start waits for `cap_delay_s` at most. `environment` is on top of this process's own,
    `core_limit` in place of it.
    """
    loop = asyncio.get_running_loop()
    delay = FIRST_DELAY_S
    while True:
        began = loop.time()
        before()
        fd = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        written = os.fstat(fd).st_size
        try:
            # A session of its own: the terminal's Ctrl-C is for the daemon, which ends this one in its order.
            child = await asyncio.create_subprocess_exec(
                "setpriv", "--pdeathsig", "TERM", "--", *argv,
                stdin=asyncio.subprocess.DEVNULL, stdout=fd, stderr=fd, start_new_session=True,
                env={**os.environ, **environment}, umask=UMASK,
            )  # fmt: skip
        finally:
            os.close(fd)
        if core_limit is not None:
            let_dump(child.pid, core_limit)
        try:
            code = await child.wait()
        except asyncio.CancelledError:
            await _end(child)
            raise
        if loop.time() - began > STABLE_S:
            delay = FIRST_DELAY_S
        log.warning("%s ended with %s%s; started again in %.2f s", argv[0], code, _last_words(log_file, written), delay)
        await asyncio.sleep(delay)
        delay = min(delay * 2, cap_delay_s)


def _last_words(log_file: Path, since: int) -> str:
    """The last line that a process wrote, of what stands behind `since`, or of all where the file was cut meanwhile;
    empty when it wrote nothing, or its file is gone."""
    try:
        with log_file.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(since if since <= size else 0, size - _WORDS_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f" ({last})" if last else ""


async def _end(child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await child.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


def reaped(process: int) -> int | None:
    """How a process ended that a pidfd stands for and that has: its exit code, or minus the signal that killed it. None
    for one that is no child of ours, or whose end was heard of before."""
    try:
        result = os.waitid(os.P_PIDFD, process, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return None
    if result is None:
        return None
    return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
