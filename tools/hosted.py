"""`make up` and `make down`: a hosted daemon that stays, its state under ./var, its context selected for capsulectl.

python -m tools.hosted up|down [STATE]
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from capsule.v1 import capsule_pb2 as pb
from capsule.v1 import capsule_pb2_grpc
from tools import root

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
READY_S = 30
CALL_S = 5.0


def daemon_pid(state: Path) -> int:
    """The running daemon's process id, 0 when none runs: a pid file alone proves nothing, for a process that was killed
    leaves it, and its number goes to another. The daemon is who has the state's lock open."""
    locks = {str(state / "journal" / "owner.lock"), str(state / "journal")}
    try:
        pid = int((state / "capsuled.pid").read_text())
        for one in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(one) in locks:
                    return pid
    except (OSError, ValueError):
        pass
    return 0


def lives(pid: int) -> bool:
    """Whether the process has not ended; one that is only waited for has."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat[stat.rindex(")") + 2] not in "ZX"


def _is_held(state: Path) -> bool:
    """Whether a daemon, or a halt, has the state."""
    try:
        lock = os.open(state / "journal" / "owner.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def start(state: Path) -> int:
    """Start the daemon, unless somebody else is just doing so, and wait until it answers. Returns its process id."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    out_file = state / "capsuled.out"
    # The log has it, too: here the last two lives are enough. Who has the state writes on, and is read where it fails.
    if out_file.exists() and not _is_held(state):
        out_file.replace(out_file.with_suffix(".out.old"))
    with out_file.open("ab") as out:
        child = subprocess.Popen(
            [BIN / "capsuled", "--state", state],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    _until_it_answers(state, lambda: child.poll() is None)
    return daemon_pid(state) or child.pid


def _until_it_answers(state: Path, starts: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if not starts() and not _is_held(state):
            last = (state / "capsuled.out").read_text().strip().splitlines()[-1:]
            raise SystemExit(f"capsuled did not start: {''.join(last)}")
        if (state / "capsule.sock").exists() and _answers(state):
            return
        time.sleep(0.05)
    raise SystemExit(f"capsuled does not answer after {READY_S} s: see {state}/capsuled.out")


def _answers(state: Path) -> bool:
    """Asked without capsulectl, which would remember the journal of a machine that nobody chose."""
    with grpc.insecure_channel(f"unix:{(state / 'capsule.sock').resolve()}") as channel:
        stub: Any = capsule_pb2_grpc.CapsuleServiceStub(channel)
        try:
            stub.GetInfo(pb.GetInfoRequest(), timeout=CALL_S)
        except grpc.RpcError:
            return False
    return True


def stop(state: Path) -> None:
    """End the daemon, then everything it ran."""
    pid = daemon_pid(state)
    if pid:
        os.kill(pid, signal.SIGTERM)
        while lives(pid):
            time.sleep(0.05)
    # Ctrl-C is for the halt, which hears it, too, and then kills what it waits for: it is to be waited for itself.
    signal.signal(signal.SIGINT, lambda *_: None)
    if subprocess.run([BIN / "capsuled", "--state", state, "--halt"], check=False).returncode:
        raise SystemExit("not everything is down, as was just said; the state stays")


def main() -> None:
    """Up or down."""
    root.require()
    state = Path(sys.argv[2] if len(sys.argv) > 2 else ROOT / "var").resolve()
    if sys.argv[1] == "down":
        if not (state / "identity").is_dir():
            print("nothing is up")
            return
        stop(state)
        print(f"down; the state stays in {state}")
        return
    pid, new = daemon_pid(state), not (state / "identity").is_dir()
    said = f"up already, process {pid}" if pid else f"up, process {start(state)}"
    if pid:  # somebody else may just be starting it
        _until_it_answers(state, lambda: lives(pid))
    _choose(state / "capsule.sock", new)
    print(f"{said}; its state is in {state}")
    print(f"capsulectl has the context `hosted`, selected, for it. Next:{_next()}")


def _next() -> str:
    """What to type: the environment's own commands are on nobody's path until somebody puts them there."""
    path = "" if shutil.which("capsulectl") == str(BIN / "capsulectl") else '\n  export PATH="$PWD/.venv/bin:$PATH"'
    return f"{path}\n  capsulectl list"


def _choose(socket: Path, new: bool) -> None:
    """Have capsulectl talk to it. A machine that was made just now has not lost its journal: it has a new one."""
    add = ["context", "add", "hosted", "--socket", socket, "--use", "--force", "-q"]
    for command in (add, ["journal", "accept", "--yes", "-q"]) if new else (add,):
        subprocess.run([BIN / "capsulectl", *command], env=os.environ | {"CAPSULE_HOST": ""}, check=True)


if __name__ == "__main__":
    main()
