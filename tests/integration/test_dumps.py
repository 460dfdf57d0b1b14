"""A daemon that is aborted leaves no core, wherever cores are allowed; its workloads keep that right."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon import SERVE, Daemon, daemon, manifest

pytestmark = pytest.mark.real

PLANTED = b"planted-dump-4711"


def cores_allowed() -> tuple[int, int]:
    """From here on this process, and what it starts, may dump; the limit before."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    return before


def how_it_dies(process: "subprocess.Popen[bytes]") -> int:
    """CLD_DUMPED or CLD_KILLED, after an abort."""
    process.send_signal(signal.SIGABRT)
    ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    process.wait()
    assert ended is not None
    return ended.si_code


def test_an_aborted_daemon_leaves_no_core_and_workloads_may_dump_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = cores_allowed()
    try:
        control = subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], stdin=-1, stdout=-1)
        assert control.stdout is not None and control.stdout.readline()
        if how_it_dies(control) != os.CLD_DUMPED:
            pytest.skip("this machine writes no cores")
        for core in tmp_path.iterdir():
            core.unlink()
        with daemon() as capsule:
            _tell_secrets(capsule)
            limit = capsule.good("exec", "web", "--", "sh", "-c", "ulimit -c; ulimit -Hc").split()
            assert limit == ["unlimited" if before[1] == resource.RLIM_INFINITY else str(before[1] // 512)] * 2
            assert capsule.process is not None
            assert how_it_dies(capsule.process) == os.CLD_KILLED
            for found in (*tmp_path.rglob("*"), *capsule.state.rglob("core*")):
                assert not found.is_file() or PLANTED not in found.read_bytes(), found
            assert not list(tmp_path.glob("core*"))
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


def _tell_secrets(capsule: Daemon) -> None:
    capsule.push_image()
    capsule.good("secret", "create", "db", stdin=PLANTED.decode())
    assert capsule.good("secret", "reveal", "db") == PLANTED.decode()
    capsule.apply(manifest("web", SERVE, env={"TOKEN": PLANTED.decode()}), "--wait")
