"""Starting a virtual machine's monitor so that it outlives the daemon, and is known before it begins.

The launcher (launcher/) is given everything as open descriptors. Between two lines of the talk with it lies the only
moment that counts: the monitor's process is there, and waits; what it is called is written down; only then it is told
to go on. Whoever dies before, and whichever of both, leaves no monitor behind; whoever dies afterwards leaves one that
is found again.
"""

import asyncio
import contextlib
import errno
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import msgspec

import effects
from effects.errors import DriverError, NoSpace, StartFailed

_HOME = str(Path(effects.__file__).resolve().parent.parent)
_MAIN = f"import sys; sys.path.insert(0, {_HOME!r}); from effects.microvms.launcher.becoming import main; main()"
_COMMAND = (sys.executable, "-I", "-S", "-X", "utf8", "-c", _MAIN)
LAUNCH_S = 30.0
"""For the launcher to be done; on a machine that is not overburdened it takes a tenth of a second."""


class Peer(Protocol):
    """A process that was started."""

    async def wait(self) -> int:
        """Its exit code."""
        ...


Start = Callable[..., Awaitable[Peer]]
"""Starts a process: its argv, `stdin` and `stdout`, and the descriptors to `keep` open in it."""


class Order(msgspec.Struct, frozen=True):
    """What the launcher is to become: `argv`, as `user`, in an empty directory `root` that gets `files` (source, place)
    and, with `kvm`, the device of that name. `groups` are files of cgroups to write itself into, `limits` numbers of
    RLIMIT_ with what each is set to, `log` the descriptor that takes what it prints. It outlives us, unless it
    `dies_with_us`."""

    argv: tuple[str, ...]
    user: int
    root: str
    files: tuple[tuple[str, str], ...]
    groups: tuple[str, ...]
    limits: tuple[tuple[int, int], ...]
    log: int
    kvm: bool = False
    dies_with_us: bool = False


class _Answer(msgspec.Struct):
    pid: int = 0
    error: str = ""
    errno: int = 0


_ANSWER = msgspec.json.Decoder(_Answer)


async def launch(start: Start, order: Order, keep: tuple[int, ...], remember: Callable[[int], None]) -> None:
    """Return once the monitor runs. `keep` are the descriptors that it has; `remember` is called with its process
    number before it begins, and when that raises, it never does. Raises NoSpace, StartFailed, and what `remember`
    raises.
    """
    with _Pipes() as pipes:
        peer = await start(*_COMMAND, stdin=pipes.stdin, stdout=pipes.stdout, keep=keep)
        try:
            pipes.close("stdin", "stdout")
            async with asyncio.timeout(LAUNCH_S):
                await _converse(pipes, order, remember)
        except TimeoutError:
            raise StartFailed(f"the monitor's launcher has not done its work after {LAUNCH_S:.0f} s") from None
        except BrokenPipeError:
            raise StartFailed("the monitor's launcher ended before it was told what to do") from None
        finally:
            pipes.close("say")  # nobody talks to it any more: it ends, if it has not
            await peer.wait()


class _Pipes:
    """To the launcher (`say`, its `stdin`) and from it (`told`, its `stdout`)."""

    def __init__(self) -> None:
        self.stdin, self.say = os.pipe2(os.O_CLOEXEC)
        self.told, self.stdout = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.told, False)

    def close(self, *names: str) -> None:
        """These ends; those that are closed stay so."""
        for name in names:
            if getattr(self, name) >= 0:
                os.close(getattr(self, name))
                setattr(self, name, -1)

    def __enter__(self) -> "_Pipes":
        return self

    def __exit__(self, *_: object) -> None:
        self.close("stdin", "say", "told", "stdout")


async def _converse(pipes: _Pipes, order: Order, remember: Callable[[int], None]) -> None:
    os.write(pipes.say, msgspec.json.encode(order) + b"\n")
    first = _answered(await _line(pipes.told))
    if not first.pid:
        raise _failure(first)
    remember(first.pid)
    os.write(pipes.say, b"go\n")
    rest = await _line(pipes.told)
    if rest:
        raise _failure(_answered(rest))


async def _line(fd: int) -> bytes:
    """Up to the end of a line, or of everything."""
    loop = asyncio.get_running_loop()
    found = b""
    readable = asyncio.Event()
    loop.add_reader(fd, readable.set)
    try:
        while not found.endswith(b"\n"):
            await readable.wait()
            readable.clear()
            with contextlib.suppress(BlockingIOError):
                # One byte less than all there could be would do: nothing follows a line before we answer it.
                part = os.read(fd, 4_096)
                if not part:
                    break
                found += part
    finally:
        loop.remove_reader(fd)
    return found


def _answered(line: bytes) -> _Answer:
    try:
        return _ANSWER.decode(line)
    except msgspec.MsgspecError:
        return _Answer(error="it ended without a word" if not line else f"it said {line[:200]!r}")


def _failure(answer: _Answer) -> DriverError:
    if answer.errno == errno.ENOSPC:
        return NoSpace(f"the disk is full: {answer.error}")
    return StartFailed(f"the monitor cannot be started: {answer.error}")
