"""capsuled: the daemon. Hosted for now: a root process on an ordinary Linux machine, its state in one directory."""

import argparse
import asyncio
import logging
import os
import resource
import shutil
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

from capsuled.addresses import DEFAULT_LISTEN, parse_listen
from capsuled.grpc_core import settle
from capsuled.layout import Layout, hosted
from capsuled.settings import DEFAULT_BRIDGE, DEFAULT_SUBNET, Settings
from journal.errors import JournalError
from journal.release import RELEASE

DEFAULT_STATE = Path("/var/lib/capsule")
NEEDED = {"containerd": "containerd", "runc": "runc", "setpriv": "util-linux"}
MODULES = ("asyncinotify", "httpx", "pyroute2")
"""Of the `daemon` extra: an installation of the command line alone lacks them."""


def main() -> None:
    """Run the daemon until SIGTERM or SIGINT. Exits 1 with one line when it cannot start."""
    settle()
    arguments = _arguments()
    settings = Settings(arguments.bridge, arguments.subnet, arguments.listen, not arguments.forget_commands)
    problem = _missing() or settings.problem()
    if problem:
        raise SystemExit(f"capsuled: {problem}")
    # Each running workload's log keeps three files open; the soft limit is often 1024.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    layout = hosted(arguments.state)
    try:
        layout.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        log_file = _log_to(layout.daemon_logs, arguments.verbose)
        code = asyncio.run(_halt(layout, settings) if arguments.halt else _run(layout, settings, log_file))
    except JournalError as error:
        raise SystemExit(f"capsuled: {error}") from error
    except OSError as error:
        raise SystemExit(f"capsuled: {error.filename or layout.state}: {error.strerror}") from error
    sys.exit(code)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="capsuled", description="The Capsule daemon, hosted on this machine.")
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help=f"state directory (default {DEFAULT_STATE})")
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
        "--halt", action="store_true", help="end everything that runs here; the next start brings it back"
    )
    parser.add_argument(
        "--forget-commands", action="store_true", help="remember that exec was used, but not the command lines"
    )
    parser.add_argument("--verbose", action="store_true", help="log more")
    parser.add_argument("--version", action="version", version=RELEASE)
    arguments = parser.parse_args()
    try:
        arguments.listen = parse_listen(arguments.listen)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def _missing() -> str:
    if sys.platform != "linux":
        return "needs Linux; on another system use capsulectl to drive one"
    if os.geteuid() != 0:
        return "must run as root: it makes containers"
    lacking = [module for module in MODULES if find_spec(module) is None]
    if lacking:
        return f"this installation is the command line alone (no {lacking[0]}): install `capsule[daemon]`"
    for program, package in NEEDED.items():
        if shutil.which(program) is None:
            return f"{program} is not installed: install the package {package}"
    return ""


def _log_to(directory: Path, verbose: bool) -> Path:
    """The daemon's log of this boot, in a file and on standard error."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    log_file = directory / f"{boot}.log"
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[logging.FileHandler(log_file), logging.StreamHandler()],
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    for noisy in ("httpx", "httpcore"):  # they print every address; some have a key to a blob in them
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return log_file


async def _halt(layout: Layout, settings: Settings) -> int:
    from capsuled.halt import halt
    from journal.environment import hold

    with hold(layout.journal):  # refuses while a daemon has it
        ended = await halt(layout, settings)
    print(f"{ended} ended")
    return 0


async def _run(layout: Layout, settings: Settings, log_file: Path) -> int:
    from capsuled.daemon import run

    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    layout.pid_file.write_text(f"{os.getpid()}\n")
    try:
        await run(layout, settings, log_file, stopping)
    finally:
        layout.pid_file.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    main()
