"""`make up` and `make down`: a hosted daemon that stays, its state under ./var, its context selected for capsulectl.

python -m tools.hosted up|down [STATE]
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
READY_S = 30


def daemon_pid(state: Path) -> int:
    """The running daemon's process id, 0 when none runs: a pid file alone proves nothing."""
    try:
        pid = int((state / "capsuled.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return 0
    return pid if any(b"capsuled" in word for word in command) else 0


def start(state: Path) -> int:
    """Start the daemon and wait until it answers. Returns its process id."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (state / "capsuled.out").open("ab") as out:
        child = subprocess.Popen(
            [BIN / "capsuled", "--state", state],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if child.poll() is not None:
            last = (state / "capsuled.out").read_text().strip().splitlines()[-1:]
            raise SystemExit(f"capsuled did not start: {''.join(last)}")
        if (state / "capsule.sock").exists() and _answers(state):
            return child.pid
        time.sleep(0.05)
    raise SystemExit(f"capsuled does not answer after {READY_S} s: see {state}/capsuled.out")


def _answers(state: Path) -> bool:
    command = [BIN / "capsulectl", "capsule", "info", "--capsule", f"unix:{state}/capsule.sock"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def stop(state: Path) -> None:
    """End the daemon, then everything it ran."""
    pid = daemon_pid(state)
    if pid:
        os.kill(pid, signal.SIGTERM)
        while daemon_pid(state) == pid:
            time.sleep(0.05)
    subprocess.run([BIN / "capsuled", "--state", state, "--halt"], check=True)


def main() -> None:
    """Up or down."""
    state = Path(sys.argv[2] if len(sys.argv) > 2 else ROOT / "var").resolve()
    if sys.argv[1] == "down":
        if not state.exists():
            print("nothing is up")
            return
        stop(state)
        print(f"down; the state stays in {state}")
        return
    pid = daemon_pid(state)
    if pid:
        print(f"up already, process {pid}")
    else:
        print(f"up, process {start(state)}")
    command = [BIN / "capsulectl", "context", "add", "hosted", "--socket", state / "capsule.sock", "--use", "-q"]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
