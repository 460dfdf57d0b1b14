"""capsuled: the daemon. Hosted, a root process on an ordinary Linux machine, its state in one directory; or that of the
operating system, started by PID 1, its state on `/perm`."""

import argparse
import asyncio
import contextlib
import errno
import functools
import gc
import importlib
import logging
import os
import resource
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from capsuled import loop
from capsuled.addresses import DEFAULT_LISTEN, DEFAULT_METRICS, OS_LISTEN, parse_listen, parse_metrics
from capsuled.grpc_core import settle
from capsuled.layout import Layout, hosted
from capsuled.logs.records import LineFormat
from capsuled.open_files import raise_limit
from capsuled.processes import UMASK
from capsuled.settings import DEFAULT_BRIDGE, DEFAULT_SUBNET, Settings
from capsuled.undumped import keep_out_of_dumps
from journal.errors import JournalError, JournalFailed, JournalFull
from journal.release import RELEASE

if TYPE_CHECKING:
    from capsuled.boot.ground import Ground
    from capsuled.boot.link import InitLink

DEFAULT_STATE = Path("/var/lib/capsule")
OS_STATE = Path("/perm")
OS_POOL = "capsule/pool"
HALT_S = 90.0
"""What an init system gives a service to end, before it kills it."""
NEEDED = {"containerd": "containerd", "runc": "runc", "setpriv": "util-linux"}
MODULES = ("dns", "httpx", "pyroute2")
NOTIFY = "NOTIFY_SOCKET"
"""Where systemd has whoever it starts say that it is ready."""
METRICS_MODULES = ("h11", "prometheus_client")
"""Of the `daemon` extra: an installation of the command line alone lacks them."""
_OF_A_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)

log = logging.getLogger(__name__)


def main() -> None:
    """Run the daemon until SIGTERM or SIGINT. Exits 1 with one line when it cannot start."""
    settle()
    os.umask(UMASK)  # noqa: TID251 - the whole process's, as is meant: nothing else runs yet
    gc.disable()  # what is loaded from here on is there to stay: looking through it again and again is a sixth of it
    arguments = _arguments()
    if arguments.os:
        arguments.state = OS_STATE
        if not arguments.listen.asked:
            arguments.listen = OS_LISTEN
    settings = Settings(
        arguments.bridge,
        arguments.subnet,
        arguments.listen,
        not arguments.forget_commands,
        keep_out_of_dumps(),
        arguments.metrics,
        OS_POOL if arguments.os else "",
        os.environ.pop(NOTIFY, ""),  # nor may containerd tell in our place: it speaks that language, too
    )
    problem = _missing(MODULES + METRICS_MODULES if settings.metrics else MODULES) or settings.problem()
    if problem:
        raise SystemExit(f"capsuled: {problem}")
    raise_limit(own_machine=arguments.os)
    ground, arguments.read_only = _brought_up(arguments) if arguments.os else (None, arguments.read_only)
    from capsuled.restoring import take_over
    from journal.environment import hold

    layout = hosted(arguments.state)
    if arguments.os:
        settings, ground = _as_written(settings, ground, layout)
    if layout.state.exists() and not layout.state.is_dir():
        raise SystemExit(f"capsuled: {layout.state} is a file: --state names a directory")
    if arguments.halt and not layout.journal.exists():
        raise SystemExit(f"capsuled: {layout.state} is no capsule's state: there is nothing to end")
    try:
        layout.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Before anything else is touched: another daemon's runtime, log and socket are its own.
        with hold(layout.journal):
            # Without the journal's own disk, what was laid down would end up below the place where that is mounted
            # again later, out of everybody's sight: it waits.
            if not arguments.os or layout.journal.is_mount():
                take_over(layout)
            with contextlib.suppress(OSError):  # on a disk that takes nothing nobody can put anything there, either
                layout.by_hand.mkdir(exist_ok=True, mode=0o700)
            log_file = _log_to(layout, arguments.verbose, aloud=not arguments.os)
            if arguments.halt:
                again = False
                code = loop.run(_halt(layout, settings, log_file, arguments.within))
            else:
                again = loop.run(_run(layout, settings, log_file, arguments.read_only, ground))
                code = 0
    except JournalFailed as error:
        _go_on_read_only(f"the journal could not be written ({error.why}): mend the disk", settings)
    except JournalFull:
        _go_on_read_only("the disk is full and even the journal's reserve is used up: free space there", settings)
    except JournalError as error:
        raise SystemExit(f"capsuled: {error}") from error
    except OSError as error:
        raise SystemExit(f"capsuled: {_failure(error, layout.state)}") from error
    if again:
        _begin_anew(settings, sys.orig_argv)
    sys.exit(code)


def _directory(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty word is no directory: is a variable unset?")
    return Path(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="capsuled", description="The Capsule daemon, hosted on this machine.")
    parser.add_argument(
        "--state", type=_directory, default=DEFAULT_STATE, help=f"state directory (default {DEFAULT_STATE})"
    )
    parser.add_argument(
        "--bridge", default=DEFAULT_BRIDGE, help=f"name of the workloads' bridge (default {DEFAULT_BRIDGE})"
    )
    parser.add_argument("--subnet", default=DEFAULT_SUBNET, help=f"its network (default {DEFAULT_SUBNET})")
    parser.add_argument(
        "--listen",
        action="append",
        metavar="ADDRESS:PORT",
        help=f"serve the network here, with TLS; repeatable, `none` for nowhere (default {DEFAULT_LISTEN})",
    )
    parser.add_argument(
        "--metrics", nargs="?", default="", const=DEFAULT_METRICS, metavar="ADDRESS:PORT",
        help=f"serve figures for Prometheus here, to whoever asks (alone: {DEFAULT_METRICS}; default: nowhere)",
    )  # fmt: skip
    parser.add_argument(
        "--halt", action="store_true", help="end everything that runs here; the next start brings it back"
    )
    parser.add_argument(
        "--within", type=_seconds, default=HALT_S, metavar="SECONDS",
        help="with --halt: what has not ended after so long is killed, whatever its stopGraceSeconds says "
        f"(default {HALT_S:g})",
    )  # fmt: skip
    parser.add_argument(
        "--forget-commands", action="store_true", help="remember that exec was used, but not the command lines"
    )
    parser.add_argument(
        "--read-only", nargs="?", metavar="WHY", default="", const="it was started with --read-only",
        help="write nothing to the journal: serve reads and emergency stops",
    )  # fmt: skip
    parser.add_argument(
        "--os", action="store_true", help="as the operating system's daemon: PID 1 starts it so, on its own disk"
    )
    parser.add_argument("--verbose", action="store_true", help="log more")
    parser.add_argument("--version", action="version", version=RELEASE)
    arguments = parser.parse_args()
    try:
        arguments.listen = parse_listen(arguments.listen)
        arguments.metrics = parse_metrics(arguments.metrics)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return seconds


def _missing(modules: Sequence[str]) -> str:
    if sys.platform != "linux":
        return "needs Linux; on another system use capsulectl to drive one"
    if os.geteuid() != 0:
        return "must run as root: it makes containers"
    lacking = [module for module in modules if find_spec(module) is None]
    if lacking:
        return (
            f"this installation is the command line alone (no {lacking[0]}): in Capsule's source, "
            "`pipx install --force '.[daemon]'` installs what the daemon needs, too"
        )
    for program, package in NEEDED.items():
        if shutil.which(program) is None:
            return f"{program} is not installed: install the package {package}"
    return ""


def _go_on_read_only(why: str, settings: Settings) -> NoReturn:
    """This program again, in this process: nothing that the failed commit left in memory may be shown or built upon."""
    why = f"{why}, then start capsuled again. What runs goes on"
    print(f"capsuled: {why}", file=sys.stderr, flush=True)
    _begin_anew(settings, [*sys.orig_argv, "--read-only", why])


def _begin_anew(settings: Settings, arguments: list[str]) -> NoReturn:
    """This program from its beginning, in this process, which it finds as it was found."""
    if settings.core_limit is not None:
        resource.setrlimit(resource.RLIMIT_CORE, settings.core_limit)
    if settings.notify:
        os.environ[NOTIFY] = settings.notify
    os.execv(sys.executable, arguments)


def _log_to(layout: Layout, verbose: bool, aloud: bool) -> Path:
    """The daemon's log of this boot, in a file and, `aloud`, on standard error; below /run where the disk takes no
    file."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    try:
        log_file, handler = _log_file(layout.daemon_logs / f"{boot}.log")
    except OSError:
        log_file, handler = _log_file(layout.run / f"{boot}.log")
    handlers = (handler, *((logging.StreamHandler(),) if aloud else ()))
    for one in handlers:
        one.setFormatter(LineFormat())
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=handlers)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    for noisy in ("httpx", "httpcore"):  # they print every address; some have a key to a blob in them
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return log_file


def _log_file(path: Path) -> tuple[Path, logging.Handler]:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path, _LogFile(path)


class _LogFile(logging.FileHandler):
    """A disk that is full costs the file its lines; standard error has them, and needs no traceback beside each."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing."""


async def _halt(layout: Layout, settings: Settings, log_file: Path, within_s: float) -> int:
    # Whoever is told to end does not leave half of it: what has ended by then would count as ended by itself.
    hurry = _stopping()
    from capsuled.halt import halt

    ended = await halt(layout, settings, log_file, within_s, hurry)
    runs = f"{ended.count} run{'' if ended.count == 1 else 's'}"
    if ended.stays:
        print(
            f"capsuled: {runs} ended, and not everything did: {ended.stays}. End that yourself, or start the machine "
            "anew; then halt again",
            file=sys.stderr,
        )
        return 1
    print(f"{runs} ended" if ended.count else "nothing ran any more")
    return 0


def _brought_up(arguments: argparse.Namespace) -> "tuple[Ground | None, str]":
    """What the operating system adds, and why nothing may be written, if so. Ends the process where there is no state
    to start on, once it is told to end. A halt finds all there is."""
    from capsuled.boot.bring_up import InstallerBooted, bring_up, console_only
    from capsuled.boot.errors import StorageFailed
    from capsuled.boot.link import InitLink

    if arguments.halt:
        return None, ""
    link = InitLink.given(os.environ)
    # Meanwhile, on the other processor: nearly all of the daemon's start is loading what it is made of.
    threading.Thread(target=importlib.import_module, args=("capsuled.daemon",), daemon=True).start()
    try:
        ground = loop.run(bring_up(arguments.state, link))
    except StorageFailed as error:
        loop.run(_until_told(functools.partial(console_only, link, str(error))))
        sys.exit(0)
    except InstallerBooted:
        _install(link, arguments.verbose)
        sys.exit(0)
    broken = ground.mounted.journal_problem
    return ground, arguments.read_only or (f"the journal's disk cannot be used: {broken}" if broken else "")


def _as_written(settings: Settings, ground: "Ground | None", layout: Layout) -> "tuple[Settings, Ground | None]":
    """With what an operator wrote on the machine's own disk, which is there by now. A halt has no ground, and tells
    nobody."""
    from msgspec.structs import replace

    from capsuled.boot.subnet import written

    settings, notes = written(settings, layout.by_hand / "subnet")
    return settings, None if ground is None else replace(ground, notes=notes)


def _install(link: "InitLink", verbose: bool) -> None:
    """The same image on a removable disk: what it does instead."""
    from capsuled.installer.running import STATE, run

    layout = hosted(STATE)
    layout.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    _log_to(layout, verbose, aloud=False)
    loop.run(_until_told(functools.partial(run, link, layout)))


def _failure(error: OSError, state: Path) -> str:
    """What failed, and why. A write names no file, but a disk that is full or broken is the one under the `state`; of
    anything else without a name, whoever is told has to know which part of the daemon asked for it."""
    why = error.strerror or str(error)
    what = error.filename or (state if error.errno in _OF_A_DISK else None)
    if what is not None:
        return f"{what}: {why}"
    log.error("the daemon cannot go on: %s", why, exc_info=error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{why} (in {place.name}, {place.filename}:{place.lineno})"


def _is_loaded() -> None:
    gc.freeze()
    gc.enable()


async def _until_told(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    _is_loaded()
    await work(_stopping())


def _stopping() -> asyncio.Event:
    """Set once the process is told to end."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


async def _run(layout: Layout, settings: Settings, log_file: Path, read_only: str, ground: "Ground | None") -> bool:
    from capsuled.examine import tail_proof

    stopping = _stopping()
    with _pid_in(layout.pid_file):
        # While another process proves the journal, this one loads the rest of what it is made of.
        proof = asyncio.ensure_future(tail_proof(layout.journal, None if ground is None else ground.link.proceeds))
        await asyncio.sleep(0)
        try:
            with contextlib.nullcontext() if ground is None else ground.stages.stage("daemon's parts"):
                daemon = await asyncio.to_thread(importlib.import_module, "capsuled.daemon")
            _is_loaded()
            again: bool = await daemon.run(layout, settings, log_file, stopping, proof, read_only, ground)
        finally:
            proof.cancel()
        return again


@contextlib.contextmanager
def _pid_in(file: Path) -> Iterator[None]:
    """Scripts find the daemon by it; a disk that takes no file costs them that, and nobody else anything."""
    with contextlib.suppress(OSError):
        file.write_text(f"{os.getpid()}\n")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
